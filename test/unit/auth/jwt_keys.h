/*
 * test/unit/auth/jwt_keys.h - keys and tokens as text.
 *
 * RSA_ and EC_ are the keys of RFC 7515, appendices A.2 and A.3, with their private parts, so that
 * tests can sign; RFC_ are the tokens there. FOREIGN_ was made by another implementation (PyJWT 2
 * over OpenSSL): RSA of 3072 bits, P-256; the claims of both tokens are the same.
 */
#ifndef TEST_UNIT_AUTH_JWT_KEYS_H
#define TEST_UNIT_AUTH_JWT_KEYS_H

/* clang-format off */
#define RSA_N \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrc" \
    "S2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGz" \
    "jb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xs" \
    "mtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8" \
    "q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"

#define RSA_D \
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeX" \
    "Zx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFN" \
    "S3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4e" \
    "hNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS9" \
    "8l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"

#define RSA_P \
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3Khoo" \
    "KeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPg" \
    "tldC-KDV5z-y2XDwGUc"

#define RSA_Q \
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zF" \
    "YHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBype" \
    "eF6689rjcJIDEz9RWdc"

#define EC_X \
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"

#define EC_Y \
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

#define EC_D \
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"

#define RFC_RS256 \
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA" \
    "6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat" \
    "0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t" \
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07" \
    "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv" \
    "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77" \
    "Rw"

#define RFC_ES256 \
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA" \
    "6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4Ga" \
    "wxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

#define FOREIGN_N \
    "pA7tox7nIEPoXoiy6nuK3ew6ulO7v9Xr-s5WbyrNDIWNvMIsK6MR4c3ZDv7rC2LEQJlUBXP84unX" \
    "c6x8N0mv1TPvhrv2gz3UKbYl83-qhMFHKS3jCO7mQvVASE8RPvY4Ttz9Llv1yG5wSVx1GWiekyUW" \
    "Rznsl_yPSDHAe7wThwYgbi_I4Vn2y5SZaxGzfvXe22x0rQnsjAuGjq0K9fSKBjl1xbbcqJ7TDfFH" \
    "tEjdIACsSolkfhKmMexsk2ZLoZhwla6XmBDUlJH26B8H5b2d94alAkJ9K3tUS-IeVh2Z120FVF9-" \
    "luqKKOmnJScfgFBT7SqTQKFjMNf4T9e2-opyF2MHmmnJ3fbp2ne-_VHNp2kKArgezcRp2yaXysdA" \
    "KXZVGNKurbHdjWQiwbb7lE1uQvajlj2_b7cH7gIzi4wfomyF817d6uAoBbD0aeJ-i7PbNBkQJpwG" \
    "o6Cb-n1FNuCd_aDQiwJa5z5LHYffDzhdAbZySgWsilywQb4PLwv3-ZHr"

#define FOREIGN_X \
    "9PrXG740uD0rcq6oItIy4MbFMW-QlRpjpeIxOzQDNxw"

#define FOREIGN_Y \
    "jvYlmRGKtXwPgCljo8g6PwlG94HNhNhtbTsxgDL0UKs"

#define P384_X \
    "IIevSHBjFo8QxMdeVFvSWO72gJ2vWDfqr2enqA4WmUuoQ_8lnnK3ZpdGc7Pf58Mn"

#define P384_Y \
    "Ha9IWG8ImM6DGP0XIko7CIpzG1VqGkK9ERe6TKD8D9SSmve8-HqhbtNECu5fX_P9"

#define FOREIGN_RS256 \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InB5LXJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczo" \
    "vL2lkLmV4YW1wbGUiLCJhdWQiOiJraW50byIsInN1YiI6InUxIiwiZXhwIjo0MDAwMDAwMDAwLCJ" \
    "pYXQiOjEwMDAsIm5hbWUiOiJab1x1MDBlYiJ9.DPQ42ZD2imhO8ZuctJtF2seQgqjTHOzVh2QiHX" \
    "llsqURFhDOQgAgmNaLuolOhXRq1ZDK1pvbIIW2F9kiavY2HVk0cGWFcvLprgl0ZD5qPynwADqQL-" \
    "mwnGQtZHHgOEn0BUSYX5MEvvPdUzpTKvpby8F2h-FFjJ4SamI4grwFClx97lX3h-mUPkAoJ0kqZu" \
    "2YqYyJQpG4_ldPVqhEEsau3gJZWfI2CBxQABqL5-5R9b17MW3C1EBjt2IpzWrlwVXjPVQUiXxXhV" \
    "Nl2M9kQvQibW79RqpiK7fknAu49Pz6QaqegpOfTJIU0GvsNQQI05z_e_Ion-_q-gyR8oZ1POIxry" \
    "86dBHPqlKQXLJPDXqVPWfjvml78rNjdlQzoVJXHDNGIyDvSEINjS4WpCe2ILZ8l8_-ZhVPjsp0O5" \
    "Go3lBPO_NhR7Q34xDywOxrQVJB0Bu_2ieRLIp88uLGNXO_Q2aTg6bxlge6Q8oSFIyprekdBr-5O4" \
    "DEpf5FXnnvXgvxidS4"

#define FOREIGN_ES256 \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6InB5LWVjIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczov" \
    "L2lkLmV4YW1wbGUiLCJhdWQiOiJraW50byIsInN1YiI6InUxIiwiZXhwIjo0MDAwMDAwMDAwLCJp" \
    "YXQiOjEwMDAsIm5hbWUiOiJab1x1MDBlYiJ9.ogFODO-1oFp7G_U5fjLLqlnaHqkE6m9vKWBJqf9" \
    "85kL7WIv-Gc3Jy1dKG9pQ9KLpmzsRgKq-i5xzNw2cWsr4Ug"
/* clang-format on */

#endif
