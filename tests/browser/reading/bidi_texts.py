"""Texts in a script that is written from right to left."""

ARABIC = """\
مرحبا بك، هذه فقرة تشرح الدالة `print(x)` والصيغة $a^2 + b^2 = c^2$ في جملة واحدة.

- أول بند
- بند ثان مع English words

> اقتباس من كتاب

| الاسم | القيمة |
| - | - |
| واحد | 1 |

```python
print("مرحبا")  # تعليق
```

An English paragraph, and then:

1. שלום עולם
2. עוד שורה
"""
