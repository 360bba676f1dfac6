/* SPDX-License-Identifier: Apache-2.0
 * TfIdfVectorizer on the pool of single tokens 2 3 5 4 and pairs 5 6, 7 8, 6 7. */
#include "tests/ops/case.h"

#define POOL "ngram_counts:ints=[0,4] ngram_indexes:ints=[0,1,2,3,4,5,6] pool_int64s:ints=[2,3,5,4,5,6,7,8,6,7] "
#define LENGTHS(LEAST, MOST, SKIPS)                                                                                    \
    "min_gram_length:int=" #LEAST " max_gram_length:int=" #MOST " max_skip_count:int=" #SKIPS " "
#define WORDS "ngram_counts:ints=[0,0] ngram_indexes:ints=[1,0] pool_strings:strings=[a,b,b,c] "
#define CASE(NAME, ATTRIBUTES, INPUT, EXPECT)                                                                          \
    { .name = NAME, .op = "TfIdfVectorizer", .opset = 9, .attributes = ATTRIBUTES, .inputs = INPUT, .expect = EXPECT }
#define REFUSED(NAME, ATTRIBUTES, INPUT, STATUS, SAYS)                                                                 \
    {                                                                                                                  \
        .name = NAME, .op = "TfIdfVectorizer", .opset = 9, .attributes = ATTRIBUTES, .inputs = INPUT, .fails = STATUS, \
        .says = SAYS                                                                                                   \
    }

const sdx_case sdx_cases[] = {
    CASE("pairs", POOL LENGTHS(2, 2, 0) "mode:string=TF", "i32[2,6]={1 1 3 3 3 7 8 6 7 5 6 8}",
         "f32[2,7]={0 0 0 0 0 0 0 0 0 0 0 1 0 1}"),
    CASE("skips", POOL LENGTHS(2, 2, 5) "mode:string=TF", "i64[12]={1 1 3 3 3 7 8 6 7 5 6 8}",
         "f32[7]={0 0 0 0 1 3 1}"),
    CASE("both", POOL LENGTHS(1, 2, 5) "mode:string=TF", "i64[12]={1 1 3 3 3 7 8 6 7 5 6 8}", "f32[7]={0 3 1 0 1 3 1}"),
    CASE("idf", POOL LENGTHS(1, 2, 5) "mode:string=IDF weights:floats=[2,3,4,5,6,7,8]",
         "i32[12]={1 1 3 3 3 7 8 6 7 5 6 8}", "f32[7]={0 3 4 0 6 7 8}"),
    CASE("tfidf", POOL LENGTHS(1, 2, 5) "mode:string=TFIDF weights:floats=[2,3,4,5,6,7,8]",
         "i32[12]={1 1 3 3 3 7 8 6 7 5 6 8}", "f32[7]={0 9 4 0 6 21 8}"),
    CASE("idf_unweighted", POOL LENGTHS(1, 2, 5) "mode:string=IDF", "i32[12]={1 1 3 3 3 7 8 6 7 5 6 8}",
         "f32[7]={0 1 1 0 1 1 1}"),
    CASE("strings", WORDS LENGTHS(2, 2, 1) "mode:string=TF", "string[2,4]={'a' 'b' 'c' 'b' 'a' 'a' 'b' 'c'}",
         "f32[2,2]={1 1 1 2}"),
    CASE("empty_rows", POOL LENGTHS(1, 2, 0) "mode:string=TF", "i64[2,0]={}", "f32[2,7]={0 0 0 0 0 0 0 0 0 0 0 0 0 0}"),
    CASE("no_rows", POOL LENGTHS(1, 2, 0) "mode:string=TF", "i64[0,3]={}", "f32[0,7]={}"),
    CASE("empty", WORDS LENGTHS(2, 2, 1) "mode:string=TF", "string[0]={}", "f32[2]={0 0}"),
    CASE("one_coordinate",
         "ngram_counts:ints=[0] ngram_indexes:ints=[2,2] pool_int64s:ints=[-1,9] " LENGTHS(1, 1, 0) "mode:string=TF",
         "i32[4]={9 -1 9 8}", "f32[3]={0 0 3}"),
    CASE("weights_of_ngrams", WORDS LENGTHS(2, 2, 0) "mode:string=TFIDF weights:floats=[2,3]",
         "string[2,4]={'a' 'b' 'c' 'b' 'a' 'b' 'a' 'b'}", "f32[2,2]={3 2 0 4}"),
    REFUSED("rank", POOL LENGTHS(1, 2, 0) "mode:string=TF", "i64[1,1,1]={1}", SDX_SHAPE,
            "input 'X' has rank 3; it must be 1 or 2"),
    REFUSED("wrong_pool", POOL LENGTHS(1, 2, 0) "mode:string=TF", "string[1]={'a'}", SDX_TYPE,
            "the pool is attribute 'pool_int64s'"),
    REFUSED("two_pools", POOL "pool_strings:strings=[a] " LENGTHS(1, 2, 0) "mode:string=TF", "i64[1]={1}", SDX_VALUE,
            "exactly one must have any"),
    REFUSED("mode", POOL LENGTHS(1, 2, 0) "mode:string=FT", "i64[1]={1}", SDX_VALUE, "'mode'"),
    REFUSED("lengths", POOL LENGTHS(2, 1, 0) "mode:string=TF", "i64[1]={1}", SDX_VALUE,
            "attribute 'max_gram_length' is 1; it must be at least 2"),
    REFUSED("counts",
            "ngram_counts:ints=[0,11] ngram_indexes:ints=[0] pool_int64s:ints=[1] " LENGTHS(1, 1, 0) "mode:string=TF",
            "i64[1]={1}", SDX_VALUE, "'ngram_counts'"),
    REFUSED(
        "odd_pairs",
        "ngram_counts:ints=[0,0] ngram_indexes:ints=[0] pool_int64s:ints=[1,2,3] " LENGTHS(1, 2, 0) "mode:string=TF",
        "i64[1]={1}", SDX_VALUE, "the pool has 3 entries of 2-grams"),
    REFUSED("twice",
            "ngram_counts:ints=[0] ngram_indexes:ints=[0,1] pool_int64s:ints=[4,4] " LENGTHS(1, 1, 0) "mode:string=TF",
            "i64[1]={1}", SDX_VALUE, "the 1-gram at entry 1 of the pool is there twice"),
    REFUSED("weights", POOL LENGTHS(1, 2, 0) "mode:string=TFIDF weights:floats=[1,2]", "i64[1]={1}", SDX_VALUE,
            "attribute 'weights' has 2 entries; 'ngram_indexes' has 7"),
};
SDX_CASES_END
