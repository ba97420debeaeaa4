#!/usr/bin/env python3
"""Writes schema_cases.def: what the reference's validator says to each pair of schema and value.

    schema_cases.py > schema_cases.def       in an environment with jsonschema (4.26.0, no format packages)

A row: CASE(schema, value, message or NULL, last step of the path or NULL). Only the first error counts, as in
jsonschema.validate; drafts as it picks them (none: 2020-12). A row META(schema, message, last step) is what
Draft7Validator.check_schema says to a schema.
"""
import json

import jsonschema
from jsonschema import Draft7Validator
from jsonschema.validators import validator_for

D4 = "http://json-schema.org/draft-04/schema#"
D6 = "http://json-schema.org/draft-06/schema#"
D7 = "http://json-schema.org/draft-07/schema#"
D19 = "https://json-schema.org/draft/2019-09/schema"
D20 = "https://json-schema.org/draft/2020-12/schema"
DRAFTS = (D4, D6, D7, D19, D20)

VALUES = [None, True, False, 0, 1, 1.0, 1.5, -1, "", "a", "é", [], [1], {}, {"a": 1}]


def tree(depth):
    return {"v": depth, "kids": [tree(depth - 1), tree(depth - 1)] if depth else []}


CASES = [
    # type
    *[({"type": t}, VALUES) for t in ("null", "boolean", "integer", "number", "string", "array", "object")],
    ({"type": ["string", "null"]}, ["a", None, 1, {"x": [None, True]}]),
    ({"type": []}, []),
    *[({"$schema": d, "type": "integer"}, [1, 1.0, 1.5, 1e3, 1e300, "1"]) for d in DRAFTS],
    # enum, const
    ({"enum": [1, "a", None, [1, {"b": 2}], {"c": 1.0}, False]},
     [1, 1.0, True, "a", None, False, 0, [1, {"b": 2}], [1, {"b": 2.0}], {"c": 1}, {"c": True}, {}, "b"]),
    ({"enum": []}, [1, None]),
    *[({"const": c}, VALUES) for c in (1, 0, True, False, None, "a", [1], {"a": 1}, {"a": True})],
    ({"const": [False]}, [[0], [False], [[]]]),
    ({"$schema": D4, "const": 1}, [2]),
    # numbers
    ({"minimum": 2}, [1, 2, 2.0, 3, 1.99, "1", -5]),
    ({"maximum": 2.5}, [2.5, 2.51, 3, 2, True]),
    ({"exclusiveMinimum": 0}, [0, 0.0, -0.0, 0.1, -1, 1]),
    ({"exclusiveMaximum": 10}, [10, 10.0, 9.99, 11]),
    ({"minimum": -9223372036854775808, "maximum": 18446744073709551615},
     [9223372036854775807, 18446744073709551615, -9223372036854775808, 1e19, 2e19, -1e19]),
    ({"maximum": 9007199254740992}, [9007199254740993, 9007199254740992, 9007199254740992.0]),
    ({"multipleOf": 2}, [0, 2, 3, 4.0, 3.5, -4, -3, 18446744073709551614, 18446744073709551615, 1e300, "3"]),
    ({"multipleOf": 0.1}, [0.3, 0.5, 1, 1.05, 0, 1e308]),
    ({"multipleOf": 0.01}, [0.07, 19.99, 4.35, 0.0075, 3]),
    ({"multipleOf": 1.5}, [3, 4.5, 4, 0]),
    ({"multipleOf": 0.5}, [1e308, 1.7e308, 12345678901234567]),
    ({"multipleOf": 1e-8}, [12391239123, 1e300, 0.5]),
    ({"multipleOf": 0.123456789}, [1e308]),
    ({"multipleOf": 2.0}, [4, 5, 5.0]),
    # strings
    ({"minLength": 2}, ["", "a", "ab", "éé", "\U0001f600", "\U0001f600a", 1]),
    ({"minLength": 1}, ["", "a"]),
    ({"maxLength": 2}, ["abc", "éé", "\U0001f600\U0001f600\U0001f600", "", 5]),
    ({"maxLength": 0}, ["", "a"]),
    ({"maxLength": 2.0, "minLength": 1.0}, ["", "abc", "a"]),
    ({"pattern": "^a+$"}, ["aaa", "aaa\n", "b", "", 1, "aaa\n\n"]),
    ({"pattern": "a.c"}, ["xabcx", "a\nc", "ac"]),
    ({"pattern": ""}, ["", "x"]),
    ({"format": "email"}, ["x", 1]),
    ({"format": "regex"}, ["["]),
    # arrays
    ({"minItems": 1}, [[], [1], "x", {}]),
    ({"minItems": 2}, [[1], [1, 2]]),
    ({"maxItems": 0}, [[], [1]]),
    ({"maxItems": 1}, [[1], [1, 2], "xx"]),
    ({"uniqueItems": True}, [[], [1], [1, 1], [1, 1.0], [1, True], [0, False], ["a", "a"], [{"a": 1}, {"a": 1.0}],
                             [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [[1], [True]], [None, None], [[], {}, "", 0, None, False], "aa"]),
    ({"uniqueItems": False}, [[1, 1]]),
    ({"items": {"type": "integer"}}, [[], [1, 2], [1, "a", "b"], "x", {"0": "a"}]),
    ({"items": False}, [[], [1], [1, 2]]),
    ({"items": True}, [[1]]),
    ({"prefixItems": [{"type": "integer"}, {"type": "string"}]}, [[], [1], [1, "a"], [1, 2], ["a"], [1, "a", None]]),
    ({"prefixItems": [{"type": "integer"}], "items": False}, [[1], [1, 2], [1, 2, "x"], ["a", 2]]),
    ({"prefixItems": [{}, {}], "items": False}, [[1, 2, 3], [1]]),
    ({"prefixItems": [{}], "items": {"type": "string"}}, [[1, "a"], [1, 2]]),
    *[({"$schema": d, "items": [{"type": "integer"}, {"type": "string"}], "additionalItems": a},
       [[], [1], [1, "a"], [1, 2], ["a"], [1, "a", None], [1, "a", 5, 6]])
      for d in (D4, D6, D7, D19) for a in (True, False, {"type": "integer"})],
    ({"$schema": D7, "items": {}, "additionalItems": False}, [[1]]),
    ({"$schema": D7, "additionalItems": False}, [[1]]),
    *[({"$schema": d, "contains": {"type": "integer"}}, [[], ["a"], [1], ["a", 1], "x"]) for d in (D6, D7, D19, D20)],
    *[({"$schema": d, "contains": {"type": "integer"}, "minContains": 2, "maxContains": 3},
       [[], [1], [1, 2], [1, "a", 2, 3], [1, 2, 3, 4]]) for d in (D7, D19, D20)],
    ({"contains": {"type": "integer"}, "minContains": 0}, [[], ["a"], [1]]),
    ({"contains": True, "maxContains": 1.0}, [[1], [1, 2], []]),
    ({"contains": False}, [[], [1]]),
    # objects
    ({"properties": {"a": {"type": "integer"}, "b": {"minLength": 2}}}, [{}, {"a": "x"}, {"b": "x", "a": "y"}, {"c": 1}, [], {"b": "x"}]),
    ({"properties": {"a": False, "b": True}}, [{"a": 1}, {"b": 1}, {}]),
    ({"properties": {"o": {"properties": {"p": False, "q": {"type": "null"}}}}}, [{"o": {"p": 1}}, {"o": {"q": 1}}]),
    ({"patternProperties": {"^a": {"type": "integer"}, "b$": {"type": "string"}}}, [{"a": 1, "b": "x"}, {"a": "x"}, {"ab": 1}, {"c": None}]),
    ({"additionalProperties": False}, [{}, {"a": 1}, {"b": 1, "a": 2}, {"é": 1, "z": 2, "A": 3}, []]),
    ({"additionalProperties": False, "properties": {"a": {}}}, [{"a": 1}, {"a": 1, "b": 2}]),
    ({"additionalProperties": False, "properties": {"a": {}}, "patternProperties": {"^x": {}, "^é": {}}},
     [{"a": 1, "x1": 2}, {"b": 2}, {"b": 2, "c": 3}]),
    ({"additionalProperties": False, "patternProperties": {"": {}}}, [{"b": 2}]),
    ({"additionalProperties": False, "patternProperties": {"": {}, "a": {}}}, [{"b": 2}]),
    ({"additionalProperties": {"type": "integer"}, "properties": {"a": {}}}, [{"a": "x"}, {"b": "x"}, {"b": 1}]),
    ({"additionalProperties": {}}, [{"a": 1}]),
    ({"required": ["a", "b"]}, [{}, {"a": 1}, {"a": 1, "b": None}, {"b": 1}, []]),
    ({"required": []}, [{}]),
    ({"minProperties": 1}, [{}, {"a": 1}]),
    ({"minProperties": 2}, [{}, {"a": 1}, {"a": 1, "b": 2}]),
    ({"maxProperties": 1}, [{}, {"a": 1}, {"a": 1, "b": 2}]),
    ({"maxProperties": 0}, [{}, {"a": 1}]),
    ({"propertyNames": {"pattern": "^[a-z]+$", "maxLength": 3}}, [{}, {"abc": 1}, {"A": 1}, {"abcd": 1}]),
    ({"propertyNames": False}, [{}, {"a": 1}]),
    *[({"$schema": d, "dependencies": {"a": ["b", "c"], "x": {"required": ["y"]}, "z": []}},
       [{}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1}, {"x": 1}, {"x": 1, "y": 2}, {"z": 0}]) for d in (D6, D7, D19, D20)],
    ({"dependentRequired": {"a": ["b"]}}, [{"a": 1}, {"a": 1, "b": 1}, {}]),
    ({"dependentSchemas": {"a": {"required": ["b"]}, "c": False}}, [{"a": 1}, {"a": 1, "b": 1}, {"c": 1}]),
    # several schemas
    ({"allOf": [{"type": "object"}, {"required": ["a"]}]}, [{"a": 1}, {}, 1]),
    ({"allOf": [True, False]}, [1]),
    ({"anyOf": [{"type": "integer"}, {"minLength": 2}]}, [1, "ab", "a", 1.5, None]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}, {"multipleOf": 3}]}, [1, 2, 3, 2.5, 1.5, 6, "a"]),
    ({"oneOf": [True, False, True]}, [1]),
    ({"oneOf": [False]}, [1]),
    ({"not": {"type": "integer"}}, [1, "a"]),
    ({"not": {}}, [1]),
    ({"not": False}, [1]),
    *[({"$schema": d, "if": {"type": "integer"}, "then": {"minimum": 5}, "else": {"type": "string"}}, [5, 4, "a", None])
      for d in (D6, D7, D19, D20)],
    ({"if": {"type": "integer"}}, [1, "a"]),
    ({"if": True, "then": False}, [1]),
    ({"properties": {"a": {"if": True, "then": False}}}, [{"a": 1}]),
    ({"then": False, "else": False}, [1]),
    # references
    *[({"$schema": d, "definitions": {"p": {"type": "integer", "minimum": 1}}, "properties": {"a": {"$ref": "#/definitions/p"}}},
       [{"a": 1}, {"a": 0}, {"a": "x"}, {}]) for d in DRAFTS],
    *[({"$schema": d, "definitions": {"p": {"type": "integer"}}, "properties": {"a": {"$ref": "#/definitions/p", "minimum": 5}}},
       [{"a": 1}, {"a": "x"}, {"a": 7}]) for d in DRAFTS],
    ({"$defs": {"a~2": {"type": "integer"}, "~": {"type": "string"}, "~1": {"type": "null"}},
      "properties": {"1": {"$ref": "#/$defs/a~2"}, "2": {"$ref": "#/$defs/~"}, "3": {"$ref": "#/$defs/~01"}}},
     [{"1": "x"}, {"2": 1}, {"3": 1}]),
    ({"anyOf": [{}, {"type": "string"}], "properties": {"1": {"$ref": "#/anyOf/01"}}}, [{"1": 1}]),
    *[({"$id": "http://x/a/b/c", "$defs": {"d": {"$id": "http://x/" + path, "type": "integer"}}, "properties": {"1": {"$ref": ref}}}, [{"1": "x"}])
      for path, ref in (("a/d", "../b/../d"), ("d", "../../../d"), ("a/b/d", "./d"), ("d/", "/a/../d/."), ("a/d", "e/../../d"))],
    ({"$defs": {"a/b": {"type": "integer"}, "c~d": {"type": "string"}, "e%f": {"type": "null"}, "é": {"type": "array"}},
      "properties": {"1": {"$ref": "#/$defs/a~1b"}, "2": {"$ref": "#/$defs/c~0d"}, "3": {"$ref": "#/$defs/e%25f"},
                     "4": {"$ref": "#/$defs/%C3%A9"}}}, [{"1": "x"}, {"2": 1}, {"3": 1}, {"4": 1}]),
    ({"properties": {"kids": {"items": {"$ref": "#"}}, "v": {"type": "integer"}}, "additionalProperties": False},
     [tree(3), {"kids": [{"kids": [{"v": "x"}]}]}, {"kids": [{"w": 1}]}]),
    ({"anyOf": [{"type": "integer"}, {"$ref": "#/anyOf/0"}, {"$ref": "#/anyOf/2/not", "not": {"type": "string"}}]}, [1, "a"]),
    ({"$ref": "#/definitions/no", "definitions": {"no": False}}, [1]),
    ({"allOf": [{"$ref": "#/definitions/no"}], "definitions": {"no": False}}, [1]),
    ({"$defs": {"x": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"}, [1, "a"]),
    ({"$schema": D7, "definitions": {"x": {"$id": "#here", "type": "integer"}}, "allOf": [{"$ref": "#here"}]}, [1, "a"]),
    ({"$schema": D4, "definitions": {"x": {"id": "#here", "type": "integer"}}, "allOf": [{"$ref": "#here"}]}, [1, "a"]),
    ({"$id": "http://example.org/root.json", "$defs": {"x": {"$id": "dir/x.json", "type": "integer", "$defs": {"y": {"type": "string"}}}},
      "properties": {"a": {"$ref": "dir/x.json"}, "b": {"$ref": "http://example.org/dir/x.json#/$defs/y"}, "c": {"$ref": "/dir/x.json"},
                     "d": {"$ref": "./dir/../dir/x.json"}, "e": {"$ref": "#/$defs/x"}, "f": {"$ref": "root.json#/$defs/x/$defs/y"}}},
     [{"a": "x"}, {"b": 1}, {"c": "x"}, {"d": "x"}, {"e": "x"}, {"f": 1}]),
    ({"$schema": D7, "$id": "http://example.org/root.json", "definitions": {"x": {"$id": "x.json", "type": "integer", "items": {"$ref": "#/definitions/y"},
      "definitions": {"y": {"type": "string"}}}}, "properties": {"a": {"$ref": "x.json"}}}, [{"a": "x"}, {"a": 1}]),
    ({"$id": "urn:x:y", "$defs": {"z": {"type": "null"}}, "properties": {"a": {"$ref": "#/$defs/z"}, "b": {"$ref": "urn:x:y#/$defs/z"}}},
     [{"a": 1}, {"b": 1}]),
    *[({"properties": {"s": {"$ref": d}}}, [{"s": {"type": "integer"}}, {"s": {"type": "foo"}}, {"s": 1}, {"s": {"properties": {"a": {"minLength": -1}}}}])
      for d in (D4, D6, D7)],
    ({"$schema": D7, "properties": {"s": {"$ref": "http://json-schema.org/draft-07/schema"}}}, [{"s": 1}, {"s": True}]),
    ({"$schema": D7, "properties": {"s": {"$ref": D7 + "/definitions/nonNegativeInteger"}}}, [{"s": -1}, {"s": 1}]),
    ({"properties": {"a": {"$schema": D4, "type": "integer"}, "b": {"type": "integer"}}}, [{"a": 1.0}, {"b": 1.0}]),
    # dynamic references
    ({"$schema": D19, "$recursiveAnchor": True, "properties": {"a": {"$recursiveRef": "#"}, "b": {"type": "integer"}}}, [{"a": {"a": {"b": "x"}}}]),
    ({"$dynamicAnchor": "n", "properties": {"a": {"$dynamicRef": "#n"}, "b": {"type": "integer"}}}, [{"a": {"a": {"b": "x"}}}]),
    ({"$id": "http://x.org/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": False,
      "$defs": {"t": {"$id": "tree", "$dynamicAnchor": "node", "type": "object",
                      "properties": {"data": True, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}}}}},
     [{"children": [{"data": 1}]}, {"children": [{"daat": 1}]}]),
    ({"$schema": D19, "$id": "http://x.org/strict", "$recursiveAnchor": True, "$ref": "tree", "unevaluatedProperties": False,
      "$defs": {"t": {"$id": "tree", "$recursiveAnchor": True, "type": "object",
                      "properties": {"data": True, "children": {"type": "array", "items": {"$recursiveRef": "#"}}}}}},
     [{"children": [{"data": 1}]}, {"children": [{"daat": 1}]}]),
    # unevaluated
    *[({"$schema": d, "properties": {"a": {}}, "unevaluatedProperties": False}, [{"a": 1}, {"a": 1, "b": 2}, {"c": 1, "b": 2}, {}]) for d in (D7, D19, D20)],
    ({"properties": {"a": {}}, "unevaluatedProperties": {"type": "integer"}}, [{"b": 1}, {"b": "x"}, {"b": "x", "c": "y"}]),
    ({"allOf": [{"properties": {"a": {}}}, {"patternProperties": {"^x": {}}}], "unevaluatedProperties": False}, [{"a": 1, "x1": 2}, {"y": 1}]),
    ({"anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 1}}, "required": ["b"]}],
      "unevaluatedProperties": False}, [{"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2}]),
    ({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"properties": {"t": {}}}, "else": {"properties": {"e": {}}},
      "unevaluatedProperties": False}, [{"k": 1, "t": 1}, {"k": 1, "e": 1}, {"e": 1}, {"t": 1}]),
    ({"dependentSchemas": {"a": {"properties": {"b": {}}}}, "properties": {"a": {}}, "unevaluatedProperties": False}, [{"a": 1, "b": 1}, {"b": 1}]),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}, "unevaluatedProperties": False}, [{"a": 1}, {"b": 1}]),
    ({"prefixItems": [{}], "unevaluatedItems": False}, [[1], [1, 2], [1, 2, "x"]]),
    ({"contains": {"type": "string"}, "unevaluatedItems": {"type": "integer"}}, [["a", 1], ["a", None], ["a"]]),
    ({"allOf": [{"prefixItems": [{}, {}]}], "items": {}, "unevaluatedItems": False}, [[1, 2, 3]]),
    ({"anyOf": [{"prefixItems": [{"const": 1}]}, {"prefixItems": [{}, {"const": 2}]}], "unevaluatedItems": False}, [[1], [1, 2], [1, 3]]),
    ({"if": {"prefixItems": [{"const": 1}]}, "then": {"prefixItems": [{}, {}]}, "unevaluatedItems": False}, [[1, 2], [2, 2], [1, 2, 3]]),
    ({"$schema": D19, "items": [{}], "unevaluatedItems": False}, [[1], [1, 2]]),
    ({"$schema": D19, "items": [{}], "additionalItems": {}, "unevaluatedItems": False}, [[1, 2]]),
    # order, and how values are shown
    ({"minimum": 5, "type": "string"}, [1]),
    ({"type": "string", "minimum": 5}, [1]),
    ({"properties": {"b": {"type": "null"}, "a": {"type": "null"}}, "required": ["c"]}, [{"a": 1, "b": 2}]),
    ({"type": "null"}, ["it's", 'say "x"', "it's \"x\"", "a\\b", "\n\t\r\x00\x7f", "\u200b\ufeff", "\U0001f600", {"a": [1.0, 1e16, 1e-5, -0.0, 1e22]},
                        [True, None, "x"], {"é": {}}]),
    ({"items": {"items": {"type": "string"}}}, [[["a"], ["b", 1]]]),
    ({"unknown": 1, "title": 5}, [1]),
]

CHECKS = [
    {}, {"type": "object"}, {"type": "foo"}, {"type": ["string", "string"]}, {"type": []}, {"type": 5}, {"properties": []},
    {"properties": {"a": 1}}, {"properties": {"a": {"type": "x"}}}, {"minLength": -1}, {"minLength": 1.5}, {"minLength": 2.0},
    {"required": "a"}, {"required": [1]}, {"required": ["a", "a"]}, {"required": True}, {"pattern": "["}, {"pattern": "a**"},
    {"patternProperties": {"(": {}}}, {"patternProperties": {"a": 5}}, {"items": 5}, {"items": []}, {"items": [1]}, {"items": [{}, {"type": 1}]},
    {"enum": 1}, {"enum": []}, {"exclusiveMinimum": True}, {"multipleOf": 0}, {"multipleOf": -1}, {"maximum": "1"}, {"uniqueItems": 1},
    {"allOf": []}, {"allOf": [1]}, {"anyOf": {}}, {"not": 1}, {"not": True}, {"if": [], "then": 1}, {"$ref": 1}, {"$id": 1}, {"$schema": 1},
    {"title": 1, "description": 2}, {"format": 1}, {"default": 1, "const": 1, "examples": 1}, {"dependencies": {"a": 1}}, {"dependencies": {"a": ["b", 1]}},
    {"definitions": {"a": {"type": 1}}}, {"$defs": {"a": {"type": 1}}}, {"additionalProperties": 1}, {"propertyNames": {"pattern": "\\"}},
    {"contains": None}, {"$comment": 1}, {"readOnly": 1}, {"type": "foo", "minLength": -1}, {"minLength": -1, "type": "foo"},
    {"properties": {"a": {"properties": {"b": {"items": {"type": "strin"}}}}}}, {"contentMediaType": 1},
    *[{"pattern": p} for p in (
        "^[a-z]+$", "(?i)abc", "a(?i)b", "(?P<n>x)(?P=n)", "(?<n>x)", r"\d\D\w\W\s\S\b\B\A\Z", r"\z", r"\h", r"\p{L}", r"\1", r"(a)\1", r"(a\1)",
        r"[\d-x]", r"[x-\d]", "[z-a]", "[]a]", "[^]a]", "[]", "[a", "a{2}", "a{2,1}", "a{,3}", "a{", "a{}", "{1}", "a{x}", "*a", "^*", "a|*b", "(*)", "(*FAIL)",
        "(?:a", "a)", "(?=a)(?!b)(?<=c)(?<!d)", "(?<=a+)", "(?>a)b++", "a?+", "a*?", "a+?*", r"\x41", r"\x4", r"\u00e9", r"\u12", r"\U0001F600", r"\U00110000",
        r"\0", r"\07", r"\377", r"\400", r"[\400]", r"[\b]", r"[\B]", r"\Q", r"\é", "é+", "(?#x)a", "(?#x", "(?x) a # b\n c", "(?x:a b)", "(?-i:a)", "(?i-s:a)",
        "(?R)", "(?1)", "(?|a)", "(?'n'a)", "(?P>n)", "(?(1)a|b)", "(a)(?(1)b|c)", "(?", "(?P", "(?P<", "(?P<1a>x)", "(?P<a>x)(?P<a>y)", "[[:alpha:]]", "\\", "a\\")],
]


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def literal(value):
    """A C string literal of UTF-8."""
    out = []
    for byte in value.encode():
        c = chr(byte)
        out.append("\\" + c if c in '"\\' else c if 32 <= byte < 127 else "\\%03o" % byte)
    return '"%s"' % "".join(out)


def row(kind, schema, value, error):
    fields = [literal(text(schema)), literal(text(value)) if kind == "CASE" else None]
    if error is None:
        fields += ["NULL", "NULL"]
    else:
        fields += [literal(error.message), literal(str(error.path[-1])) if error.path else "NULL"]
    print("%s(%s)" % (kind, ", ".join(f for f in fields if f is not None)))


def main():
    print("/*\n * Made by schema_cases.py with jsonschema %s; see there.\n"
          " *     CASE(schema, value, message or NULL, last step of the path or NULL)\n"
          " *     META(schema, message or NULL, last step)\n */" % jsonschema.__version__)
    for schema, values in CASES:
        cls = validator_for(schema)
        for value in values:
            row("CASE", schema, value, next(cls(schema).iter_errors(value), None))
    meta = Draft7Validator(Draft7Validator.META_SCHEMA, format_checker=Draft7Validator.FORMAT_CHECKER)
    for schema in CHECKS:
        row("META", schema, None, next(meta.iter_errors(schema), None))


if __name__ == "__main__":
    main()
