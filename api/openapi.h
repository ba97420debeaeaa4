/*
 * api/openapi.h - what the two files share that write the description of the API: openapi.c (the
 * document) and openapi_operation.c (what is said of one method of an endpoint).
 */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "api/private.h"

/* ---- the tables of openapi.def --------------------------------------------------------------- */

#define JSON(...) #__VA_ARGS__

enum parameter {
#define PARAMETER(constant, name, json) PARAMETER_##constant,
#include "api/openapi.def"
    PARAMETER_COUNT
};

enum error_answer {
#define ERROR_ANSWER(constant, status, description) ERROR_##constant,
#include "api/openapi.def"
    ERROR_COUNT
};

struct definition {
    const char *name, *json;
};
extern const struct definition openapi_parameters[PARAMETER_COUNT];

struct error_answer_row {
    const char *status, *description;
};
extern const struct error_answer_row openapi_errors[ERROR_COUNT];

/* The headers of what has an ETag. */
#define OPENAPI_TIMES                                                                              \
    "\"ETag\":{\"type\":\"string\",\"pattern\":\"^\\\"-?[0-9]+\\\"$\"},"                           \
    "\"Last-Modified\":{\"type\":\"string\"}"

/* ---- words ----------------------------------------------------------------------------------- */

/* A comma before all but the first; `first` begins as true. */
void openapi_separate(struct buf *b, bool *first);
/* A text about a kind of objects: "%s" is its name, "%p" its plural, a star its name with a capital.
 * NULL: about none. */
void openapi_add_filled(struct buf *b, const char *text, const struct api_resource *kind);
/* "name":"text", filled */
void openapi_add_member(struct buf *b, const char *name, const char *text,
                        const struct api_resource *kind);
/* {"$ref":"#/definitions/BucketObject"} of "*Object" */
void openapi_add_ref(struct buf *b, const char *definition, const struct api_resource *kind);
/* The tag of a route's operations: Buckets */
/* What its path holds, one behind the other: those of an object's path belong to all its methods. */
void openapi_add_path_parameters(struct buf *b, const struct api *a, const struct api_route *route);
void openapi_add_tag(struct buf *b, const struct api *a, const struct api_route *route);

/* ---- openapi_operation.c --------------------------------------------------------------------- */

/* The Operation Object of one of the route's methods. */
void openapi_add_operation(struct buf *b, const struct api *a, const struct api_route *route,
                           enum api_method method);
/* The authentication policies in force: as members that define them, or as elements that ask for
 * one of them. */
void openapi_add_policies(struct buf *b, const struct api *a, bool defined);

#endif
