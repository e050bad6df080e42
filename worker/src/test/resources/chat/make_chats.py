"""Writes chats.json: conversations as Transformers' tokens, and which of them are the assistant's.

usage: make_chats.py MODEL OUT.json
needs: transformers
"""
import json, sys
from transformers import AutoTokenizer

TEMPLATES = {
    "every message ends with a token": """
{%- for m in messages %}
  {{- '<s>' + m.role + '\\n' }}
  {%- if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
  {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}""",
    "thoughts are left out once others follow": """
{%- for m in messages %}
  {{- '<s>' + m.role + '\\n' }}
  {%- if m.role == 'assistant' %}
    {%- set said = m.content if loop.last else m.content.split('</think>')[-1].lstrip() %}
    {%- generation %}{{ said }}</s>{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
  {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}""",
    "no token ends a message": """
{%- if messages[0].role == 'system' %}{{ bos_token + messages[0].content | trim + '\\n\\n' }}{% endif %}
{%- for m in messages if m.role != 'system' %}
  {%- if m.role == 'user' %}{{ 'Q: ' + m.content + '\\nA: ' }}
  {%- else %}{% generation %}{{ m.content + '\\n' }}{% endgeneration %}
  {%- endif %}
{%- endfor %}""",
    "a prompt follows, asked for or not": """
{%- for m in messages %}
  {{- m.role + ': ' }}
  {%- if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
{%- endfor %}{{ 'assistant: ' }}""",
    "the last message has no end": """
{%- for m in messages %}
  {{- '<s>' + m.role + '\\n' }}
  {%- if m.role == 'assistant' %}{% generation %}{{ m.content }}{% if not loop.last %}</s>{% endif %}{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}""",
    "the model is asked to think": """
{%- for m in messages %}
  {{- '<s>' + m.role + '\\n' }}
  {%- if m.role == 'assistant' %}{% generation %}{{ m.reasoning_content }}{{ m.content }}</s>{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\\n<thoughts>\\n' }}{% endif %}""",
    "earlier messages lose what later ones have": """
{%- for m in messages %}
  {{- '<s>' + m.role + '\\n' }}
  {%- if m.role == 'assistant' %}{% generation %}{% if loop.revindex <= 3 %}<t></t>{% endif %}{{ m.content }}
  {%- for c in m.tool_calls or [] %}CALL {{ c.function.name }}{% endfor %}</s>{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}""",
    "the last message has two ends, and roles alternate": """
{%- if messages[0].role == 'system' %}{{ messages[0].content }}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}
{%- for m in rest %}
  {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
  {{- m.role + ': ' }}
  {%- if m.role == 'assistant' %}{% generation %}{{ m.content | trim }} </s>{% endgeneration %}
  {%- else %}{{ m.content }}</s>
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}{% else %}{{ '\\n</s>' }}{% endif %}""",
}
CONVERSATIONS = [
    [("user", "mov eax, edi"), ("assistant", "int f(int a) {\n  return a;\n}")],
    [("system", " Write C.\n"), ("user", "ret"), ("assistant", "void f() {}"), ("user", "é 🙂 <b>"), ("assistant", "🙂🙂 \"x\"\n")],
    [("user", "a"), ("assistant", "<think>\nhm\n</think>\n\nb"), ("user", "c"), ("assistant", "<think>\nwell\n</think>\n\nd")],
    [("user", "a"), ("assistant", ""), ("user", "b"), ("assistant", "c")],
    [("user", "a"), ("assistant", "<answer>b</answer>"), ("user", "c"), ("assistant", "assistant: d")],
    [("assistant", "Hello."), ("user", "a"), ("assistant", "b")],
    [("user", "a"), ("assistant", None, {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}), ("tool", "1"), ("assistant", "b", {"tool_calls": None})],
    [("user", "a"), ("assistant", None, {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}), ("tool", "1"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    [("user", "a"), ("assistant", "b", {"thinking": "hm", "reasoning_content": None}), ("user", "c"), ("assistant", "d", {"reasoning": "well"})],
]

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
cases = []
for name, template in TEMPLATES.items():
    for conversation in CONVERSATIONS:
        messages = [{"role": role, "content": content, **(more[0] if more else {})} for role, content, *more in conversation]
        case = {"name": name, "template": template, "messages": messages}
        cases.append(case)
        try:
            out = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            prompt = tokenizer.apply_chat_template(
                messages[:-1], chat_template=template, tokenize=False, add_generation_prompt=True)
        except Exception as e:
            case["error"] = f"{type(e).__name__}: {e}"
            continue
        case |= {"tokens": list(out["input_ids"]), "mask": list(out["assistant_masks"]), "prompt": prompt}
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(cases, file, ensure_ascii=False, separators=(",", ":"))
print(len(cases), [sum(c["mask"]) if "mask" in c else c["error"] for c in cases])
