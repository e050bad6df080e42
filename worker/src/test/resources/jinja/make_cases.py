"""Writes cases.json: templates, and what Transformers makes of them.

usage: make_cases.py OUT.json
needs: transformers, jinja2
"""
import json, sys
from transformers.utils.chat_template_utils import render_jinja_template

MESSAGES = [
    {"role": "system", "content": "  Be kind.\n"},
    {"role": "user", "content": "What's \"1+1\"?\tSay <it>."},
    {"role": "assistant", "content": "é 🙂 2\\\n", "calls": [{"name": "add", "with": {"a": 1, "b": [1.5, True, None, 1e22, -0.0]}}]},
    {"role": "user", "content": None},
]
VALUES = {"eos_token": "</s>", "number": 7, "real": 2.5, "empty": "", "words": ["b", "A", "c", "a"],
          "table": {"b": 2, "a": 1, "C": 0}, "nothing": None}

TEMPLATES = r"""
plain {{ eos_token }} text
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ missing }}|{{ 'a' "b" }}
{% for m in messages %}{{ m.role }}{{ '' if loop.last else ',' }}{% endfor %}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }};{% endfor %}
{% for w in words %}{{ loop.previtem }}<{{ w }}>{{ loop.nextitem }}{{ loop.previtem is defined }}{{ loop.cycle('x', 'y') }} {% endfor %}
{% for w in words if w != 'A' %}{{ loop.index }}{{ w }}{% else %}none{% endfor %}{% for w in [] %}{{ w }}{% else %}none{% endfor %}
{% for k, v in table.items() %}{{ k }}={{ v }};{% endfor %}{% for k in table %}{{ k }}{% endfor %}
{% for w in words %}{% if w == 'A' %}{% continue %}{% endif %}{% if w == 'a' %}{% break %}{% endif %}{{ w }}{% endfor %}
{% set x = 1 %}{% for w in words %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(x=1, found=false) %}{% for w in words %}{% set ns.x = ns.x * 2 %}{% endfor %}{{ ns.x }}{{ ns.found }}{{ ns.other is defined }}
{% if number > 5 and not empty %}a{% elif number %}b{% else %}c{% endif %}{% if missing %}d{% endif %}{% if nothing is none %}e{% endif %}
{{ 1 if empty else 2 }}{{ 1 if empty }}|{{ empty or 'x' }}{{ number and 'y' }}{{ not empty }}
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 10 / 4 }} {{ 2 ** -1 if false else 'no' }}
{{ -number|abs }} {{ (-number)|abs }} {{ 2 + 3|string|length }} {{ 'a' * 3 }} {{ [1] * 2 + [3] }}
{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 'a'] == [1, 'a'] }} {{ 'a' in 'bab' }} {{ 'b' not in table }} {{ 2 in [1, 2] }} {{ none == false }}
{{ messages[0].role }} {{ messages[-1]['role'] }} {{ messages[9] is defined }} {{ messages[0].missing }} {{ messages[0]['missing'] is undefined }} {{ nothing.x is defined }}
{{ messages[1:]|length }} {{ messages[:-1]|length }} {{ messages[::-1][0].role }} {{ words[1:3] }} {{ words[-2:] }} {{ words[::2] }} {{ words[3:0:-2] }} {{ 'é🙂x'[1] }} {{ 'é🙂x'[::-1] }} {{ words[10:] }} {{ words[:number + 1] }}
{{ messages[2].content|length }} {{ '🙂🙂'|length }} {{ table|length }} {{ missing|length }}
{{ messages[0].content|trim }}| {{ '--a--'|trim('-') }} {{ 'aB c'|upper }} {{ 'aB c'|lower }} {{ 'it\'s a-b (c)'|title }} {{ 'aB C'|capitalize }} {{ "it's a-b".title() }}
{{ messages[0].content.strip() }} {{ 'xxaxx'.strip('x') }}{{ 'xxaxx'.lstrip('x') }}{{ 'xxaxx'.rstrip('x') }} {{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ''.split() }} {{ ''.split(',') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abab'.replace('b', 'x') }} {{ 'abab'.replace('b', 'x', 1) }} {{ ', '.join(words) }} {{ 'abab'.find('b') }} {{ 'abab'.find('z') }} {{ 'abab'.count('ab') }} {{ 'ab'.upper() }} {{ 'Ab'.lower() }} {{ 'aB'.capitalize() }}
{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'a\nb'.splitlines() }} {{ '12'.isdigit() }} {{ ' '.isspace() }} {{ 'é🙂x'.find('x') }} {{ 'abab'.rfind('ab') }}
{{ table.get('b') }} {{ table.get('z') }} {{ table.get('z', 5) }} {{ table.keys()|list }} {{ table.values()|list }} {{ table|items|list }} {{ table|dictsort }} {{ table|dictsort(true) }} {{ table|dictsort(by='value') }} {{ table|dictsort(reverse=true) }}
{{ missing|default('x') }} {{ empty|default('x') }} {{ empty|default('x', true) }} {{ nothing|default('x') }} {{ nothing|d('x', boolean=true) }}
{{ words|first }} {{ words|last }} {{ words|join }} {{ words|join('-') }} {{ messages|join(', ', attribute='role') }} {{ words|sort }} {{ words|sort(reverse=true) }} {{ words|sort(case_sensitive=true) }} {{ words|unique|list }} {{ words|reverse|list }} {{ 'abc'|reverse }} {{ 'ab'|list }} {{ [3, 1, 2]|sum }} {{ [3, 1, 2]|min }} {{ [3, 1, 2]|max }}
{{ messages|map(attribute='role')|join(',') }} {{ words|map('upper')|list }} {{ messages|map(attribute='calls', default=0)|list|length }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|selectattr('calls')|list|length }} {{ messages|rejectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list }} {{ words|select('in', ['a', 'b'])|list }} {{ [0, 1, '']|select|list }} {{ [0, 1, '']|reject|list }} {{ [1, 2, 3]|select('odd')|list }}
{{ messages[2].calls|tojson }} {{ messages[1].content|tojson }} {{ messages[2].content|tojson }} {{ none|tojson }} {{ [1, [], {}]|tojson }} {{ "\x01\u2028/"|tojson }}
{{ table|tojson(indent=2) }} {{ table|tojson(sort_keys=true) }} {{ table|tojson(separators=(',', ':')) }} {{ messages[2].calls|tojson(indent=4) }} {{ [[], {}]|tojson(indent=1) }}
{{ messages[2].calls }} {{ messages[2].calls|string }} {{ "it's" }} {{ ["it's", 'a"b', "a'b\"c", '\n\t\\'] }} {{ {'a': none, 'b': (1, 2)}['a'] }}
{{ 1.0 }} {{ 1e16 }} {{ 1.5e-5 }} {{ 0.0001 }} {{ 123456789012345678 }} {{ 1e22 }} {{ 0.1 + 0.2 }} {{ 100000000000000000000 + 1 }} {{ 3.0e15 }} {{ -2.5 }}
{{ '3'|int + 1 }} {{ 'x'|int }} {{ 'x'|int(9) }} {{ 3.9|int }} {{ '2.5'|float }} {{ 2.5|round }} {{ 2.567|round(1) }} {{ 2.1|round(0, 'ceil') }} {{ true|int }}
{{ 'a\nb\n\nc'|indent }} {{ 'a\nb'|indent(2, true) }} {{ 'a\n\nb'|indent(width=1, blank=true) }} {{ 'aXbX'|replace('X', '-') }} {{ 'aXbX'|replace('X', '-', 1) }} {{ '<b>'|safe }}
{{ number is number }} {{ number is string }} {{ empty is string }} {{ table is mapping }} {{ words is sequence }} {{ words is iterable }} {{ empty is iterable }} {{ number is iterable }} {{ true is boolean }} {{ 1 is boolean }} {{ true is integer }} {{ 1 is integer }} {{ 1.0 is float }} {{ nothing is not none }} {{ missing is not defined }} {{ true is true }} {{ 1 is true }} {{ false is false }}
{{ number is odd }} {{ number is even }} {{ number is divisibleby 7 }} {{ number is divisibleby(2) }} {{ 'a' is in words }} {{ number is eq 7 }} {{ number is gt 3 and number is lt(9) }} {{ 'ab' is lower }} {{ 'ab' is upper }} {{ number is not odd or true }}
{% macro f(a, b='x', c=none) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(1, c=3) }}{{ f() }}{{ f('a') ~ 'b' }}{{ f(1)|length }}
{% macro tree(t) %}{% for k, v in t.items() %}{{ k }}{% if v is mapping %}({{ tree(v) }}){% endif %}{% endfor %}{% endmacro %}{{ tree({'a': {'b': {}, 'c': {'d': 1}}}) }}
{% set x = 'out' %}{% macro f() %}{{ x }}{% set x = 'in' %}{{ x }}{% endmacro %}{{ f() }}{{ x }}
{% macro box(t) %}<{{ t }}>{{ caller(1) }}</{{ t }}>{% endmacro %}{% call(n) box('b') %}in{{ n }}{% endcall %}
{% set t %} a {{ number }} {% endset %}[{{ t }}]{% set t | trim | upper %} a {% endset %}[{{ t }}]
{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c[1] }}{% set d = [1, 2,] %}{{ d }}{% set e = {'a': 1,} %}{{ e }}
{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}
{% for w in words %}{% for v in words %}{{ loop.depth }}{% if loop.last %}.{% endif %}{% endfor %}{{ loop.index }}{% endfor %}
{%- for w in words -%}  {{- w -}}  {%- endfor -%} x
a {#- comment -#} b {# comment #}c{##}
{% raw %}{{ x }} {% if %}{% endraw %}{%- raw -%} a {%- endraw %}
{{- 'a' }} {{ 'b' -}} {{ 'c' }}{{+ 1 }}
a {%+ if true %} b {% endif %}{% if true +%} c{% endif %}
{{ {'a': {'b': 1}}.a.b }} {{ {'a': 1}|tojson }} {{ {'a': {}} }} {{ {} }} {{ [] }} {{ () }} {{ (1) }} {{ ('a', 'b') | list }}
{{ dict(a=1, b='x')|tojson }} {{ namespace(a=1).a }} {{ table['a'] + table.b }} {{ words[0] ~ words.1 }} {{ '%%' }} {{ '{{' }} {{ "%}" }}
{% generation %}{{ eos_token }}{% endgeneration %} {% for m in messages %}{% if m.role == 'assistant' %}{%- generation %}{{ m.content }}!{%- endgeneration %}{% else %}{{ m.role }}{% endif %}{% endfor %}
{{ tools }} {{ documents is none }} {{ tools is defined }} {{ add_generation_prompt }}
{% for t in messages[0].calls if t.type %}x{% else %}none{% endfor %}{{ missing|sort }}{{ missing|list }}{{ missing|join }}
{% if messages|selectattr('role', 'equalto', 'tool') %}yes{% endif %}{% set s = words|select('in', ['a']) %}{% for w in s %}{{ w }}{% endfor %}{{ s|list|length }}
{% if table.keys() %}yes{% endif %}{{ {}.keys() is true }}{% if {}.items() %}no{% endif %}{{ table.keys()|length }}{{ range(3)|length }}{{ range(3)|list }}{{ 'b' in table.keys() }}
{% set ns = namespace(f=false) %}{% for m in messages if not ns.f %}{{ m.role }}{% if m.role == 'user' %}{% set ns.f = true %}{% endif %}{% endfor %}
{% for w in words if w != 'c' %}{{ loop.last }}{{ loop.nextitem }}{{ loop.previtem }}{{ loop.length }}{{ loop.revindex0 }};{% endfor %}
{% for w in [] %}{% else %}{% set y = 1 %}{% endfor %}[{{ y }}]
{{ '3.7'|int }} {{ '1e3'|int }} {{ '1_000'|int }} {{ ' 12 '|int }} {{ nothing|int }} {{ '5d'|float }} {{ 'inf'|float }} {{ '1_0.5'|float }} {{ '.5'|float }} {{ words|int(3) }} {{ '+7'|int }}
{{ 7|round }} {{ 2.1|round(1, 'ceil') }} {{ 2.15|round(1) }} {{ 7|round(method='floor') }} {{ 1234|round(-2) }} {{ 2.675|round(2) }}
{{ 1.0 // 0.1 }} {{ 7.5 % -2 }} {{ -7.5 // 2 }} {{ 6.0 % 3 }} {{ 5 // 2.0 }}
{{ ['B', 'a']|min }} {{ ['B', 'a']|max }} {{ ['B', 'a']|min(case_sensitive=true) }} {{ messages|max(attribute='role') }} {{ []|max is defined }} {{ messages|unique(attribute='role')|list|length }} {{ ['a', 'A']|unique(case_sensitive=true)|list }}
{{ (words|tojson|safe) ~ '<' }} {{ words|tojson|safe }} {{ ['<'|safe] }} {{ '<'|safe == '<' }} {{ '<'|safe is string }}
{{ 'x\x85'|trim|length }} {{ '1  2   3  '.split(none, 1) }} {{ 'a\x0bb\u2028c\r\nd\n'.splitlines() }} {{ 'a\r\nb'|indent(1) }} {{ 'a\nb'|indent(-1) }} {{ 'a\n'|indent(1) }} {{ 'a\xa0b c'|title }}
{{ ['a\u200b\xa0\x7f'] }} {{ ['\U0001F642é'] }} {{ '\v\a\0\101'|length }} {{ '\q' }}
{{ '' is lower }} {{ '12' is upper }} {{ 'aé' is lower }} {{ 'Aé' is lower }} {{ ['😀', 'Ａ']|sort }} {{ [1, 2, 3][true] }} {{ '中a'.title() }} {{ 'ß'.capitalize() }} {{ [none]|map(attribute='x', default=none)|join('-') }}
{{ {'update': 1}['update'] }} {{ [1, 2, 3][1::2147483647] }} {{ [1, 2, 3][:-9] }} {% for w in [1] %}{{ loop is mapping }}{% endfor %} {{ missing is callable }}
{{ words|reverse|first }} {{ table|items|first }} {{ words|map('upper')|first }}
{{ {'format': 1}.format }} {{ {}['sort'] is defined }} {{ range(1000000, 0)|list }} {{ [1]|map(attribute='99999999999999999999')|list|length }}
{{ 'aa'.count('a') }} {{ '{a}' ~ 1 }} {{ 'a' 'b' ~ 'c' }} {{ 1 if true else 2 if false else 3 }}
{{ raise_exception('No!') }}
{{ missing.x }}
{{ 'a' + 1 }}
{{ 'a' + missing }}
{{ nothing + 'a' }}
{{ nothing|length }}
{{ missing() }}
{{ missing|tojson }}
{{ 1 // 0 }}
{{ 'a' < 1 }}
{% for x in number %}{% endfor %}
{% set a, b = [1] %}
{{ words.append('x') }}
{{ words|map('nofilter')|list }}
{{ 'a' in nothing }}
{{ words|nofilter }}
{{ number is notest }}
{% if true %}
{% endif %}
{% nosuchtag %}
{{ 1 2 }}
{{ (1 }}
{{ 'a }}
{% set number.x = 1 %}
{% break %}
{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{% endmacro %}{{ f(b=2) }}
{{ range(10000000)|length }}
{{ missing|int }}
{{ 7|round(0, 'up') }}
{{ (words|select)|length }}
{{ words|select|last }}
{{ words|map()|list }}
{{ 'a' is in('a', 'b') }}
{{ words|trim(1, 2) }}
{{ '\U00110000' }}
{{ loop.cycle() }}{% for w in words %}{{ loop.cycle() }}{% endfor %}
{{ range(3) + [1] }}
{# no end
""".strip("\n").split("\n")

# What lines and blanks around tags come to.
TEMPLATES += [
    "{% if true %}\n  a\n{% endif %}\n  b\n",
    "  {% if true %}\n    a\n  {% endif %}\n{{ 1 }}\n\n  {{ 2 }}\n",
    "x {% if true %}\ny\n{% endif %} \n z",
    "{{ 1 }}\n  {%- if true %}\n\n a {%- endif %}\n b\n\n",
    "{# c #}\na\n  {# d #}\nb {# e #}\n",
    "{% for w in words %}\n  - {{ w }}\n{% endfor %}\nend",
    "a\r\n{% if true %}\r\nb\rc{% endif %}",
    "{% set x %}\n a\n{% endset %}\n[{{ x }}]",
    "{%- macro f(a) -%}\n  {{ a }}\n{%- endmacro -%}\n\n{{ f('x') }}\n{{ f('y') }}",
    "\n{% if true -%}\n\n  a\n\n{%- endif +%}\nb",
    "{% raw %}\n a {% endraw %}\nb",
    "{{\n  number\n  + 1\n}}",
    "{% if number == 7\n   and real == 2.5 %}yes{% endif %}",
]

cases = []
for template in TEMPLATES:
    case = {"template": template}
    try:
        texts, generated = render_jinja_template(
            conversations=[MESSAGES], chat_template=template, tools=None, documents=None,
            add_generation_prompt=True, return_assistant_tokens_mask="generation" in template, **VALUES)
        case["text"] = texts[0]
        if generated:
            case["generated"] = generated[0]
    except Exception as e:
        case["error"] = f"{type(e).__name__}: {e}"
    cases.append(case)

with open(sys.argv[1], "w", encoding="utf-8") as out:
    json.dump({"messages": MESSAGES, "values": VALUES, "cases": cases}, out, ensure_ascii=False, indent=1)
print(len(cases), "cases,", sum("error" in c for c in cases), "errors")
for c in cases:
    if "error" in c:
        print(repr(c["template"])[:60], "->", c["error"][:90])
