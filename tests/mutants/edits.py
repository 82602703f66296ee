# SPDX-License-Identifier: BSD-2-Clause
"""edits - small wrong edits of a C source, as a tired programmer makes them.

sites() knows as much of C as this tree's style needs: tokens, brackets, where a statement
begins, which function it is in.  What it offers need not compile and need not change
anything; wild.py sorts that out.  It leaves alone what no test can be asked for:
comments, strings, what must(), or in the kernel WARN_ON() and lockdep, holds to be impossible,
and lines with a MUTANT(), which run.py has.  No edit changes the number of lines."""
import re
from collections import namedtuple

# kind: see KINDS; start, end: offsets in the source; new: what stands there instead
Site = namedtuple("Site", "kind function start end new")
Token = namedtuple("Token", "kind text start end")

TOKENS = re.compile(r"""
    (?P<blank>\s+|/\*.*?\*/|//[^\n]*)
  | (?P<pp>(?<![^\n])[ \t]*\#(?:\\\n|[^\n])*)
  | (?P<string>[LuU]?"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<op>->|\+\+|--|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|.)
""", re.X | re.S)

RELATION = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&"}
COMPOUND = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "<<=": ">>=", ">>=": "<<=", "++": "--", "--": "++"}
OTHER = {"true": "false", "false": "true", "MIN": "MAX", "MAX": "MIN", "min": "max", "max": "min",
         "min_t": "max_t", "max_t": "min_t"}
ORDER = re.compile(r"(memory_order_|__ATOMIC_)(acquire|release|acq_rel|seq_cst|ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)$")
# The kernel's orders are calls: what they become, of their arguments.
KERNEL_ORDER = {"smp_load_acquire": "READ_ONCE(*%s)", "smp_store_release": "WRITE_ONCE(*%s, %s)",
                "READ_ONCE": "(%s)", "WRITE_ONCE": "%s = %s"}
CONSTANT = re.compile(r"[A-Z][A-Z0-9]*_?[A-Z0-9_]+$")
# Their first two arguments may be exchanged: this tree asks only whether what they compare is equal,
# and of a product the order is the same.
EITHER_WAY = {"strcmp", "strncmp", "strcasecmp", "strncasecmp", "memcmp", "calloc"}
LEFT_ALONE = {"must", "must_fail", "assert", "static_assert", "_Static_assert", "sizeof", "offsetof", "MUTANT",
              "WARN_ON", "WARN_ON_ONCE", "BUG_ON", "BUILD_BUG_ON", "ASSERT_RTNL", "container_of"}
ASSERTS = re.compile(r"lockdep_|might_sleep")
LOOPS = re.compile(r"for_each|FOREACH$")        # macros that a statement follows, as for()
KEYWORDS = {"if", "else", "for", "while", "do", "switch", "case", "default", "return", "goto", "break",
            "continue", "static", "const", "struct", "enum", "union", "unsigned", "sizeof", "_Static_assert"}
LVALUE = re.compile(r"\**\s*[A-Za-z_]\w*\s*((->|\.)\s*\w+\s*|\[[^;]*?\]\s*)*$")
PAIRS = {"(": ")", "[": "]", "{": "}"}

KINDS = ("relation", "logic", "operand", "arithmetic", "number", "negated", "check", "branches", "call",
         "assignment", "return", "jump", "constant", "order", "arguments", "field", "not", "value")


class Source:
    def __init__(self, text):
        self.text = text
        self.t = [Token(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKENS.finditer(text)
                  if m.lastgroup not in ("blank", "pp")]
        self.skip_lines = {n for n, line in enumerate(text.split("\n")) if "MUTANT(" in line}
        self.line_of = [0]
        for c in text:
            self.line_of.append(self.line_of[-1] + (c == "\n"))
        self.pair = {}
        stack = []
        for i, t in enumerate(self.t):
            if t.text in PAIRS and t.kind == "op":
                stack.append(i)
            elif t.text in PAIRS.values() and t.kind == "op" and stack:
                j = stack.pop()
                self.pair[i], self.pair[j] = j, i
        self.quiet = set()      # tokens within must() and the like
        for i, t in enumerate(self.t):
            if (t.text in LEFT_ALONE or ASSERTS.match(t.text)) and self.is_op(i + 1, "("):
                self.quiet.update(range(i, self.pair.get(i + 1, i) + 1))

    def is_op(self, i, text):
        return 0 <= i < len(self.t) and self.t[i].kind == "op" and self.t[i].text == text

    def word(self, i):
        return self.t[i].text if 0 <= i < len(self.t) else ""

    def line(self, offset):
        return self.line_of[offset] + 1

    def slice(self, i, j):
        """The text of tokens i to j-1."""
        return self.text[self.t[i].start:self.t[j - 1].end] if j > i else ""

    def bodies(self):
        """(name, first token, last token, return type) of each function, and of each table
        (return type None)."""
        i, begin = 0, 0
        while i < len(self.t):
            t = self.t[i]
            if t.kind == "op" and t.text in "([{" and i in self.pair:
                close = self.pair[i]
                if t.text == "{":
                    before = self.t[i - 1]
                    if before.text == ")":
                        k = self.pair[i - 1] - 1
                        yield self.word(k), i, close, self.slice(begin, k)
                    elif before.text == "=":
                        names = [x.text for x in self.t[begin:i] if x.kind == "name"]
                        yield names[-1] if names else "", i, close, None
                    if before.text != "=":
                        begin = close + 1
                i = close + 1
                continue
            if t.text == ";":
                begin = i + 1
            i += 1

    def statements(self, first, last):
        """(token, its end, the depth of braces) of each statement between two tokens."""
        depth, i = 0, first
        while i < last:
            before = self.t[i - 1].text if self.t[i - 1].kind == "op" else self.word(i - 1)
            starts = before in (";", "{", "}", "else", "do", ":")
            if before == ")":
                opener = self.word(self.pair[i - 1] - 1)
                starts = opener in ("if", "for", "while", "switch") or bool(LOOPS.search(opener))
            if self.is_op(i, "("):
                # Within brackets there is no statement.
                if starts:
                    yield i, self.end(i, last), depth
                i = self.pair[i] + 1
                continue
            if self.is_op(i, "{"):
                depth += 1
            elif self.is_op(i, "}"):
                depth -= 1
            elif starts and not self.is_op(i, ";"):
                yield i, self.end(i, last), depth
            i += 1

    def end(self, i, last):
        """The token of the semicolon or opening brace that ends the statement at i."""
        while i < last:
            if self.t[i].kind == "op" and self.t[i].text in "([":
                i = self.pair[i]
            elif self.t[i].kind == "op" and self.t[i].text in ";{":
                return i
            i += 1
        return last

    def operand(self, i):
        """The token after the operand to the right of the && or || at i."""
        i += 1
        while i < len(self.t):
            t = self.t[i]
            if t.kind == "op" and t.text in PAIRS:
                i = self.pair[i]
            elif t.kind == "op" and t.text in (")", "]", "}", ";", ",", "&&", "||", "?", ":"):
                return i
            i += 1
        return i

    def arguments(self, i):
        """[(first token, token after)] of the arguments of the call whose ( is i."""
        out, begin, k, close = [], i + 1, i + 1, self.pair[i]
        while k <= close:
            if k == close or self.is_op(k, ","):
                out.append((begin, k))
                begin = k + 1
            elif self.t[k].kind == "op" and self.t[k].text in PAIRS:
                k = self.pair[k]
            k += 1
        return out if close > i + 1 else []


class Finder:
    """The edits of one source."""

    def __init__(self, text):
        self.s = Source(text)
        self.sites = []
        self.constants = {}
        for t in self.s.t:
            if t.kind == "name" and CONSTANT.match(t.text):
                self.constants.setdefault(self.family(t.text), set()).add(t.text)

    @staticmethod
    def family(name):
        return "E" if re.match(r"E[A-Z]+$", name) else name.split("_")[0] + "_" if "_" in name else name

    def put(self, kind, function, i, j, new):
        """Tokens i to j-1 become new, which keeps the number of lines."""
        s = self.s
        start, end = s.t[i].start, s.t[j - 1].end
        lines = range(s.line(start) - 1, s.line(end))
        if s.skip_lines.intersection(lines) or s.quiet.intersection(range(i, j)):
            return
        old = s.text[start:end]
        new += "\n" * (old.count("\n") - new.count("\n"))
        if new != old:
            self.sites.append(Site(kind, function, start, end, new))

    def tokens(self, f, first, last, table):
        s = self.s
        for i in range(first + 1, last):
            t = s.t[i]
            before, after = s.t[i - 1], s.t[i + 1]
            spaced = s.text[t.start - 1].isspace() and s.text[t.end].isspace()
            if t.kind == "number":
                if not (table and t.text.startswith("0x")):     # a CRC's table
                    self.number(f, i, t)
            elif t.kind == "name" and t.text in OTHER:
                self.put("value", f, i, i + 1, OTHER[t.text])
            elif t.kind == "name" and ORDER.match(t.text):
                m = ORDER.match(t.text)
                self.put("order", f, i, i + 1, m.group(1) + ("relaxed" if m.group(2).islower() else "RELAXED"))
            elif t.kind == "name" and CONSTANT.match(t.text) and after.text != "(" and before.text not in (
                    "->", ".", "case"):
                others = sorted(self.constants[self.family(t.text)] - {t.text})
                if others:
                    self.put("constant", f, i, i + 1, others[(t.start * 7) % len(others)])
            elif table or t.kind != "op":
                continue
            elif t.text in RELATION and spaced:
                self.put("relation", f, i, i + 1, RELATION[t.text])
            elif t.text in LOGIC:
                self.put("logic", f, i, i + 1, LOGIC[t.text])
                j = s.operand(i)
                self.put("operand", f, i + 1, j, "1" if t.text == "&&" else "0")
            elif t.text in ARITHMETIC and spaced and (before.kind in ("name", "number") or before.text in ")]"):
                self.put("arithmetic", f, i, i + 1, ARITHMETIC[t.text])
            elif t.text in COMPOUND:
                self.put("arithmetic", f, i, i + 1, COMPOUND[t.text])
            elif t.text == "!":
                self.put("not", f, i, i + 1, "")
            elif t.text == "?":
                self.branches(f, i, last)
            elif t.text in ("->", "."):
                self.field(f, i, first, last)
            elif t.text == "(" and before.kind == "name" and before.text not in KEYWORDS:
                args = s.arguments(i)
                if before.text in KERNEL_ORDER:
                    weak = KERNEL_ORDER[before.text] % tuple(s.slice(a, b) for a, b in args)
                    self.put("order", f, i - 1, s.pair[i] + 1, weak)
                    continue
                fixed = args[1:] if before.text in EITHER_WAY else args
                for (a, b), (c, d) in zip(fixed, fixed[1:]):
                    self.put("arguments", f, a, d, s.slice(c, d) + ", " + s.slice(a, b))

    def number(self, f, i, t):
        s = self.s
        m = re.match(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$", t.text)
        declared = s.is_op(i - 1, "[") and s.t[i - 2].kind == "name" and (
            s.t[i - 3].kind == "name" and s.word(i - 3) not in ("return", "case") or s.is_op(i - 3, "*"))
        if not m or declared:
            return
        v = int(m.group(1), 8 if re.match(r"0\d", t.text) else 0)
        wrong = [v + 1] + ([v - 1] if v else []) + ([v // 10, v * 2] if v > 9 else [])
        how = "0%o%s" if re.match(r"0\d", t.text) else "%d%s"
        self.put("number", f, i, i + 1, how % (wrong[(t.start * 5) % len(wrong)], m.group(2)))

    def branches(self, f, i, last):
        """a ? b : c becomes a ? c : b."""
        s, k, nested = self.s, i + 1, 0
        if s.is_op(k, ":"):         # a ?: b
            return
        while k < last and not (s.is_op(k, ":") and not nested):
            nested += s.is_op(k, "?") - s.is_op(k, ":")
            k = s.pair[k] + 1 if s.t[k].kind == "op" and s.t[k].text in PAIRS else k + 1
        j = k + 1
        while j < last and not (s.t[j].kind == "op" and s.t[j].text in ");,]}:?"):
            j = s.pair[j] + 1 if s.t[j].kind == "op" and s.t[j].text in PAIRS else j + 1
        if j < last and not s.is_op(j, "?"):
            self.put("branches", f, i + 1, j, s.slice(k + 1, j) + " : " + s.slice(i + 1, k))

    def field(self, f, i, first, last):
        """x->a becomes x->b, another field that this function uses of x."""
        s = self.s
        base, here = s.word(i - 1), s.word(i + 1)
        others = sorted({s.word(k + 1) for k in range(first, last) if s.word(k) == s.word(i) and
                         s.word(k - 1) == base and not s.is_op(k + 2, "(")} - {here})
        if others and s.t[i - 1].kind == "name" and not s.is_op(i + 2, "("):
            self.put("field", f, i + 1, i + 2, others[(s.t[i].start * 3) % len(others)])

    def statement(self, f, i, end, depth, returns):
        s = self.s
        word = s.word(i)
        if word == "if" and s.is_op(i + 1, "("):
            close = s.pair[i + 1]
            cond = s.slice(i + 2, close)
            self.put("negated", f, i + 2, close, "!(%s)" % cond)
            self.put("check", f, i + 2, close, "0 && (%s)" % cond)
        elif word in ("break", "continue", "goto"):
            self.put("jump", f, i, end + 1, ";")
        elif word in KEYWORDS or s.is_op(end, "{"):
            return
        else:
            eq = next((k for k in range(i, end) if s.t[k].kind == "op" and s.t[k].text in (
                "=", "+=", "-=", "|=", "&=", "^=", "<<=", ">>=", "++", "--")), None)
            call = s.t[i].kind == "name" and s.is_op(i + 1, "(") and s.pair[i + 1] == end - 1
            if call and word not in LEFT_ALONE and not LOOPS.search(word):
                self.put("call", f, i, end + 1, ";")
            elif eq is not None and LVALUE.match(s.slice(i, eq)):
                self.put("assignment", f, i, end + 1, ";")
            else:
                return
            if depth == 0:
                self.early(f, i, returns)

    def early(self, f, i, returns):
        words = [w for w in returns.replace("*", " * ").split() if not w.startswith("__")]     # __init
        new = "return; " if words[-1:] == ["void"] else "return 0; "
        self.put("return", f, i, i + 1, new + self.s.word(i))

    def find(self):
        for f, first, last, returns in self.s.bodies():
            self.tokens(f, first, last, returns is None)
            if returns is None:
                continue
            for n, (i, end, depth) in enumerate(self.s.statements(first + 1, last)):
                self.statement(f, i, end, depth, returns)
        return self.sites


def sites(text):
    return Finder(text).find()


def apply(text, site):
    return text[:site.start] + site.new + text[site.end:]


def shown(text, site):
    """(line number, the lines before, the lines after), each line once, without indentation."""
    begin = text.rfind("\n", 0, site.start) + 1
    stop = text.find("\n", site.end)
    old = text[begin:stop]
    new = text[begin:site.start] + site.new.rstrip("\n") + text[site.end:stop]
    squeeze = [" ".join(x.split()) for x in (old, new)]
    return text.count("\n", 0, site.start) + 1, squeeze[0], squeeze[1]
