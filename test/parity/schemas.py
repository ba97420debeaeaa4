"""Random JSON Schemas, right and wrong, and objects that have a chance to fit them.

Names, types and bounds are few, so that values come out on both sides of a schema about equally often. The schemas that
the reference is known to answer 500 to are TROUBLES; `pathless` says of another whether it can.
"""

import json

NAMES = ("n", "s", "l", "o", "é")
VALUES = (None, True, False, 0, 1, 1, 1.0, 2, 2.5, 3, 5, -1, 0.3, 10, "", "a", "ab", "abc", "1", "é", "日本", "a\n", "it's", [], [1], [1, 1],
          ["a"], ["a", 1], [1, 2, 3], [True, 1], [[1], ["a"]], [{"n": 1}], {}, {"n": 1}, {"s": "a"}, {"n": 1, "s": "a"}, {"o": {"n": "a"}},
          {"n": 1, "z": 2}, {"x": 1, "z": 2, "y": None})
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
DRAFTS = ("http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#",
          "http://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
          "http://example.org/my-own-draft")
PATTERNS = ("^a", "b$", "^[a-z]+$", "a|1", ".", "^$", "(?i)^A", r"^\w+$", r"\d", "é", r"^a\Z", "^a{,2}$", "[^a]", r"^\S*$", "(?:a|b)c?", "")
LIBRARY = {"p": {"type": "integer", "minimum": 1}, "s": {"type": "string", "pattern": "^a"}, "any": {}, "tree": {"properties": {"o": {"$ref": "#/definitions/tree"}, "n": {"type": "integer"}}}}
REFS = ("#/definitions/p", "#/definitions/s", "#/definitions/any", "#/definitions/tree", "#/definitions/nope", "#", "#nope", "#/properties/n")

# Not schemas of draft 7: refused when they are written.
WRONG = (
    1, [], "x", None, True, {"type": "foo"}, {"type": []}, {"type": ["string", "string"]}, {"type": 5}, {"properties": []}, {"properties": {"a": 1}},
    {"minLength": -1}, {"minLength": 1.5}, {"required": "a"}, {"required": [1]}, {"required": ["a", "a"]}, {"required": True}, {"pattern": "["},
    {"pattern": "a**"}, {"pattern": r"\h"}, {"patternProperties": {"(": {}}}, {"items": 5}, {"items": []}, {"enum": 1}, {"exclusiveMinimum": True},
    {"multipleOf": 0}, {"maximum": "1"}, {"uniqueItems": 1}, {"allOf": []}, {"anyOf": {}}, {"not": 1}, {"if": []}, {"$ref": 1}, {"$id": 1}, {"$schema": 1},
    {"title": 1, "description": 2}, {"dependencies": {"a": 1}}, {"definitions": {"a": {"type": 1}}}, {"additionalProperties": 1},
    {"properties": {"a": {"properties": {"b": {"items": {"type": "strin"}}}}}}, {"properties": {"é": {"minimum": "x"}}}, {"contains": None},
    {"properties": {"n": {"type": "integer", "default": "x"}, "s": {"type": "text"}}},
)
# Schemas of draft 7 that the reference answers 500 to: no schemas of their own draft, or without end.
TROUBLES = (
    {"properties": {"l": {"items": [{"type": "integer"}], "additionalItems": False}}},
    {"properties": {"l": {"minContains": "x", "contains": {}}}},
    {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"n": {"exclusiveMinimum": 1}}},
    {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"n": True}},
    {"allOf": [{"$ref": "#"}]}, {"$ref": "#"}, {"properties": {"n": {"$ref": "#/properties/n"}}},
    {"properties": {"n": {"$ref": "#/title"}}, "title": "no schema"},
    {"dependentRequired": 5}, {"$defs": {"x": 1}, "type": "object"},
)
# At the root these have no last element that the reference could call the field.
PATHLESS = {"not", "minProperties", "maxProperties", "const", "dependencies", "dependentRequired", "propertyNames", "unevaluatedProperties", "$ref",
            "$dynamicRef", "$recursiveRef", "if"}


class Schemas:
    def __init__(self, rng):
        self.rng = rng

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, items):
        return items[self.rng.randrange(len(items))]

    def value(self):
        return self.pick(VALUES)

    def data(self):
        """An object with some of the names, and sometimes others."""
        found = {name: self.value() for name in NAMES if self.chance(0.45)}
        if self.chance(0.15):
            found[self.pick(("z", "ab", "id2", "schema", "A"))] = self.value()
        return found

    def number(self):
        return self.pick((0, 1, 1, 2, 2.0, 2.5, 3, -1, 10, 0.1, 0.5))

    def keyword_for_numbers(self):
        name = self.pick(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"))
        return {name: self.pick((1, 2, 0.1, 0.5, 3, 2.0)) if name == "multipleOf" else self.number()}

    def keyword_for_strings(self):
        name = self.pick(("minLength", "maxLength", "pattern", "pattern", "format"))
        if name == "format":
            return {name: self.pick(("email", "date", "regex", "uri"))}
        return {name: self.pick(PATTERNS) if name == "pattern" else self.pick((0, 1, 2, 2.0, 3))}

    def keyword_for_arrays(self, depth):
        name = self.pick(("items", "items", "minItems", "maxItems", "uniqueItems", "contains", "prefixItems", "unevaluatedItems", "additionalItems"))
        if name in ("minItems", "maxItems"):
            return {name: self.pick((0, 1, 2, 3))}
        if name == "uniqueItems":
            return {name: self.chance(0.8)}
        if name == "prefixItems":
            return {name: [self.schema(depth) for _ in range(self.pick((1, 2)))]}
        found = {name: self.schema(depth)}
        if name == "contains" and self.chance(0.5):
            found[self.pick(("minContains", "maxContains"))] = self.pick((0, 1, 2))
        return found

    def keyword_for_objects(self, depth):
        name = self.pick(("properties",) * 5 + ("patternProperties", "additionalProperties", "additionalProperties", "required", "required", "minProperties",
                         "maxProperties", "propertyNames", "dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties"))
        if name == "properties":
            return {name: {n: self.schema(depth) for n in self.rng.sample(NAMES, self.pick((1, 2, 3)))}}
        if name == "patternProperties":
            return {name: {self.pick(PATTERNS): self.schema(depth) for _ in range(self.pick((1, 2)))}}
        if name == "required":
            return {name: self.rng.sample(NAMES + ("id", "last_modified", "schema"), self.pick((0, 1, 2)))}
        if name in ("minProperties", "maxProperties"):
            return {name: self.pick((0, 1, 2))}
        if name == "dependentRequired":
            return {name: {self.pick(NAMES): [self.pick(NAMES)]}}
        if name == "dependencies":
            return {name: {self.pick(NAMES): [self.pick(NAMES)] if self.chance(0.5) else self.schema(depth)}}
        if name == "dependentSchemas":
            return {name: {self.pick(NAMES): self.schema(depth)}}
        return {name: self.pick((False, False, True)) if self.chance(0.5) else self.schema(depth)}

    def keyword_for_all(self, depth):
        name = self.pick(("type", "type", "type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if"))
        if name == "type":
            return {name: self.pick(TYPES) if self.chance(0.8) else self.rng.sample(TYPES, 2)}
        if name == "enum":
            return {name: self.rng.sample(VALUES, self.pick((1, 2, 4)))}
        if name == "const":
            return {name: self.value()}
        if name == "not":
            return {name: self.schema(depth)}
        if name == "if":
            found = {name: self.schema(depth)}
            for branch in ("then", "else"):
                if self.chance(0.7):
                    found[branch] = self.schema(depth)
            return found
        return {name: [self.schema(depth) for _ in range(self.pick((1, 2, 3)))]}

    def schema(self, depth=3):
        if self.chance(0.06):
            return self.chance(0.5)
        if self.chance(0.08):
            return {"$ref": self.pick(REFS)} if self.chance(0.7) else {"$ref": self.pick(REFS), "type": self.pick(TYPES)}
        found = {}
        for _ in range(self.pick((1, 1, 1, 2, 3))):
            kinds = [self.keyword_for_numbers, self.keyword_for_strings]
            if depth > 0:
                kinds += [lambda: self.keyword_for_arrays(depth - 1), lambda: self.keyword_for_objects(depth - 1)] + [lambda: self.keyword_for_all(depth - 1)] * 2
            else:
                kinds.append(lambda: {"type": self.pick(TYPES)})
            found.update(self.pick(kinds)())
        return found

    def root(self):
        """A schema for objects with NAMES; now and then a wrong one."""
        if self.chance(0.12):
            return self.pick(WRONG)
        if self.chance(0.03):
            return self.pick(TROUBLES)
        found = {}
        if self.chance(0.5):
            found["$schema"] = self.pick(DRAFTS)
        if self.chance(0.8):
            found["type"] = "object"
        if self.chance(0.85):
            found["properties"] = {n: self.schema(2) for n in self.rng.sample(NAMES, self.pick((1, 2, 3)))}
        if self.chance(0.1):
            found.setdefault("properties", {})["id"] = self.pick(({"type": "string"}, {"pattern": "^r"}, {"maxLength": 2}))
        for _ in range(self.pick((0, 0, 1, 1, 2))):
            found.update(self.keyword_for_objects(1) if self.chance(0.6) else self.keyword_for_all(1))
        if "$ref" in str(found):
            found["definitions"] = LIBRARY
        return found


def pathless(schema, depth=0):
    """Can this refuse an object as a whole by a keyword whose value has no last element?"""
    if not isinstance(schema, dict) or depth > 8:
        return schema is False and depth > 0
    if PATHLESS & set(schema):
        return True
    below = list(schema.get("allOf") or [])
    for name in ("dependentSchemas", "dependencies"):
        below += [s for s in (schema.get(name) or {}).values() if isinstance(s, (dict, bool))]
    return any(pathless(s, depth + 1) for s in below)


def foreign(schema):
    """Does it call itself of draft 4 or 6, and has in it what that draft does not allow as draft 7 does?"""
    if not isinstance(schema, dict) or not str(schema.get("$schema")).endswith(("draft-04/schema#", "draft-06/schema#")):
        return False
    text = json.dumps(schema)
    return "draft-04" in schema["$schema"] and any(t in text for t in (": true", ": false", "[true", "[false", ", true", ", false", "2.0", "[]", "exclusiveM", "enum"))
