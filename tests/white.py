#!/usr/bin/env python3
"""white.py HEADER OUT - what the white-box tests see of the implementation: types, macros, tables and inline functions as they stand in the
header, and of every other function its prototype.  The bodies are in one object, compiled with DREAMDB_TEST_SHARED.

It knows the style of the header, not C: a function begins in column 0, its { stands alone and its } in column 0, or it is short and its {
ends no line.  Functions of vector types and those that macros write stay in the object: tests call what chooses among them.
OUT is written only when it changes, so that an edit of a body compiles no test again."""
import os
import re
import sys

START = '#if defined(DREAMDB_IMPLEMENTATION) && !defined(DREAMDB_IMPLEMENTED)'
VECTOR = re.compile(r'\b__m\d+i?\b|\b(?:float|u?int)\d+x\d+_t\b')
INTRINSICS = re.compile(r'\s*#\s*include <(?:immintrin|arm_neon)\.h>')       # half of the time of a compile
WRITTEN = re.compile(r'DDB_KERN_\w+_BODY\(.*\)$')                             # a macro whose expansion is a function
DATA = re.compile(r'(?:typedef|struct|enum|union|static const|extern)\b')
LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'')
COMMENT = re.compile(LITERAL.pattern + r'|/\*.*?\*/', re.S)


def blank(match):
    """A comment as the line ends in it; a literal as it is."""
    text = match.group(0)
    return '\n' * text.count('\n') if text.startswith('/*') else text


def open_braces(line):
    line = LITERAL.sub('', line)
    return line.count('{') - line.count('}')


class Reader:
    def __init__(self, text):
        at = text.index(START)
        self.out = [text[:at]]
        self.first = text.count('\n', 0, at)
        self.lines = COMMENT.sub(blank, text[at:]).split('\n')
        self.at = 0

    def wrong(self, what):
        sys.exit('white.py: line %d: %s' % (self.first + self.at + 1, what))

    def next(self):
        if self.at == len(self.lines):
            self.wrong('the file ends inside a function')
        self.at += 1
        return self.lines[self.at - 1].rstrip()

    def directive(self, line):
        """A preprocessor line with those that continue it."""
        while line.endswith('\\'):
            self.out.append(line)
            line = self.next()
        if not INTRINSICS.match(line):
            self.out.append(line)

    def until_brace(self, line):
        """The lines of a function from the first up to the one with its {, or with the ; of a prototype."""
        head = [line]
        while '{' not in line and ';' not in line:
            line = self.next()
            if line.startswith('#'):
                self.wrong('a directive in the head of a function')
            head.append(line)
        return head

    def function(self, line):
        lines = self.until_brace(line)
        head, brace, rest = '\n'.join(lines).partition('{')
        keep = 'DDB_INLINE' in head and not VECTOR.search(head)
        if re.search(r'\bstatic\b', head):
            self.wrong('a static function without DDB_FN or DDB_INLINE')
        if keep:
            self.out += lines
        elif not VECTOR.search(head) and 'DDB_HASH_PART' not in head:
            self.out.append(re.sub(r'\bDDB_FN\b ?', '', head).rstrip().rstrip(';') + ';')
        if brace and rest:
            self.body(keep, open_braces(rest) + 1)            # on its head's line, and perhaps the next
        elif brace:
            self.body(keep, None)

    def body(self, keep, deep):
        """The rest of a body: up to the } in column 0, or of a short one up to the brace that closes the `deep` open ones."""
        line = ''
        while (not line.startswith('}') if deep is None else deep > 0):
            line = self.next()
            deep = deep if deep is None else deep + open_braces(line)
            if line.lstrip().startswith('#'):
                self.directive(line)                          # it may define what is used later
            elif keep:
                self.out.append(line)

    def run(self):
        while self.at < len(self.lines):
            line = self.next()
            if line.lstrip().startswith('#'):
                self.directive(line)
            elif line and line[0].isalpha() and not DATA.match(line) and not WRITTEN.match(line):
                self.function(line)
            elif line and not WRITTEN.match(line):
                self.out.append(line)
        return '\n'.join(self.out) + '\n'


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        text = Reader(f.read()).run()
    if not os.path.exists(sys.argv[2]) or open(sys.argv[2]).read() != text:
        with open(sys.argv[2] + '.new', 'w') as f:
            f.write(text)
        os.replace(sys.argv[2] + '.new', sys.argv[2])


if __name__ == '__main__':
    main()
