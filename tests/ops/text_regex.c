/* SPDX-License-Identifier: Apache-2.0
 * RegexFullMatch: the whole string must match; the syntax is RE2's. */
#include "tests/ops/case.h"

#define MATCH(NAME, PATTERN, INPUT, EXPECT)                                                                            \
    {                                                                                                                  \
        .name = NAME, .op = "RegexFullMatch", .opset = 20, .attributes = "pattern:string=" PATTERN, .inputs = INPUT,   \
        .expect = EXPECT                                                                                               \
    }
#define REFUSED(NAME, PATTERN, WORDS)                                                                                  \
    {                                                                                                                  \
        .name = NAME, .op = "RegexFullMatch", .opset = 20, .attributes = "pattern:string=" PATTERN,                    \
        .inputs = "string[1]={'a'}", .fails = SDX_VALUE, .says = WORDS                                                 \
    }

const sdx_case sdx_cases[] = {
    MATCH("whole", "b+", "string[2,2]={'b' 'bbb' 'ab' 'ba'}", "bool[2,2]={1 1 0 0}"),
    MATCH("alternatives", "a|ab|abc", "string[4]={'a' 'ab' 'abc' 'abcd'}", "bool[4]={1 1 1 0}"),
    MATCH("empty_string", "x*", "string[3]={'' 'xx' 'y'}", "bool[3]={1 1 0}"),
    MATCH("no_elements", "x*", "string[0]={}", "bool[0]={}"),
    MATCH("scalar", "x*", "string[]={'x'}", "bool[]={1}"),
    MATCH("code_points", ".{3}", "string[3]={'äöü' '日本語' 'ab'}", "bool[3]={1 1 0}"),
    MATCH("case", "(?i)straße|K", "string[4]={'STRAßE' 'k' 'K' 'x'}", "bool[4]={1 1 1 0}"),
    MATCH("flag_group", "(?i:a)b", "string[3]={'ab' 'Ab' 'AB'}", "bool[3]={1 1 0}"),
    MATCH("named_group", "(?P<year>\\d{4})-(?<month>\\d\\d)", "string[2]={'2024-05' '24-05'}", "bool[2]={1 0}"),
    MATCH("property", "\\p{Greek}+\\pN", "string[2]={'αβγ1' 'abc1'}", "bool[2]={1 0}"),
    MATCH("posix_class", "[[:alpha:][:digit:]]+", "string[2]={'a1' 'a-'}", "bool[2]={1 0}"),
    MATCH("digits_are_ascii", "\\d", "string[2]={'7' '٣'}", "bool[2]={1 0}"),
    MATCH("spaces_in_class", "[^\\S]", "string[2]={' ' 'x'}", "bool[2]={1 0}"),
    MATCH("octal", "\\101\\x42\\x{43}", "string[2]={'ABC' 'abc'}", "bool[2]={1 0}"),
    MATCH("quoted", "\\Qa.b*\\E+", "string[2]={'a.b**' 'axb*'}", "bool[2]={1 0}"),
    MATCH("brace", "a{,2}", "string[2]={'a{,2}' 'aa'}", "bool[2]={1 0}"),
    MATCH("end", "(?:a$)b?", "string[2]={'a' 'ab'}", "bool[2]={1 0}"),
    MATCH("empty_way", "(?:b\\w)?|(a)(b)|\\b", "string[4]={'b' 'a' '' 'bc'}", "bool[4]={0 0 1 1}"),
    MATCH("repeated_place", "\\B{1,3}|^*a$+", "string[2]={'a' ''}", "bool[2]={1 1}"),
    MATCH("colon_class", "[:a]+", "string[2]={'a:' 'b'}", "bool[2]={1 0}"),
    MATCH("lazy", "a+?b??", "string[3]={'aaa' 'ab' 'abb'}", "bool[3]={1 1 0}"),
    /* Would take for ever by backtracking. */
    MATCH("nested", "(?:(?:a*)*)*b",
          "string[2]={'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac' 'aab'}", "bool[2]={0 1}"),
    /* Thousands of ways at once: more working space. */
    MATCH("wide", "(?:(?:a?){100}b?){20}[a-c]*c", "string[2]={'aaaaaaaaaaaaaaaaaaaac' 'aaaaaaaaaaaaaaaaaaaax'}",
          "bool[2]={1 0}"),
    REFUSED("backreference", "(a)\\1", "attribute 'pattern' is '(a)\\1', no regular expression of RE2: backreferences"),
    REFUSED("lookahead", "(?=a)a", "lookaround is not supported"),
    REFUSED("lookbehind", "(?<!a)a", "lookaround is not supported"),
    REFUSED("atomic", "(?>a)", "unknown kind of group"),
    REFUSED("comment", "(?#a)", "unknown kind of group"),
    REFUSED("possessive", "a*+", "a repetition of a repetition"),
    REFUSED("verb", "(*UTF)a", "nothing to repeat"),
    REFUSED("too_often", "a{1001}", "more than 1000 repetitions"),
    REFUSED("bounds", "a{3,2}", "the first bound of a repetition exceeds the second"),
    REFUSED("unclosed_class", "[a", "missing ]"),
    REFUSED("unopened_group", "a)(b", "missing ("),
    REFUSED("unclosed_group", "(a", "missing )"),
    REFUSED("unknown_escape", "\\G", "unknown escape"),
    REFUSED("backslash", "a\\", "a backslash at the end"),
    {.name = "no_pattern",
     .op = "RegexFullMatch",
     .opset = 20,
     .inputs = "string[1]={'a'}",
     .fails = SDX_VALUE,
     .says = "attribute 'pattern' is absent"},
};
SDX_CASES_END
