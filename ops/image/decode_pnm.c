/* SPDX-License-Identifier: Apache-2.0
 * The portable formats: bitmaps (P1, P4), grey maps (P2, P5), pixmaps (P3, P6); samples of 1 or 2 bytes, the higher
 * first. P1 to P3 hold digits, in which a bitmap needs no spaces; a set bit is black. */
#include "ops/image/decode.h"

typedef struct pnm {
    const uint8_t *bytes;
    size_t size, at;
    int kind; /* 1 .. 6 */
    uint32_t most;
} pnm;

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* A number after white space and comments; `single`: one digit of it. */
static bool number(pnm *file, uint32_t limit, bool single, uint32_t *out) {
    bool comment = false, any = false;
    for (; file->at < file->size; file->at++) {
        uint8_t c = file->bytes[file->at];
        if (c == '#') comment = true;
        if (!comment && !is_space(c)) break;
        if (c == '\n' || c == '\r') comment = false;
    }
    *out = 0;
    for (; file->at < file->size && !(single && any); file->at++, any = true) {
        uint8_t c = file->bytes[file->at];
        if (c < '0' || c > '9') break;
        *out = *out * 10 + (c - '0');
        if (*out > limit) return false;
    }
    return any;
}

static uint8_t scaled(const pnm *file, uint32_t v) {
    if (v > file->most) v = file->most;
    return (uint8_t)((v * 255 + file->most / 2) / file->most);
}

static bool digits(pnm *file, const sdx_picture *picture) {
    int each = file->kind == 3 ? 1 : 3; /* how many of red, green, blue a sample is */
    for (int64_t i = 0, n = picture->width * picture->height * 3; i < n; i += each) {
        uint32_t v = 0;
        if (!number(file, 65535, file->kind == 1, &v) || v > file->most) return false;
        for (int c = 0; c < each; c++) picture->rgb[i + c] = scaled(file, file->kind == 1 ? 1 - v : v);
    }
    return true;
}

static void bits(const uint8_t *row, int64_t width, uint8_t *rgb) {
    for (int64_t x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) rgb[3 * x + c] = row[x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
}

static void samples(const pnm *file, const uint8_t *row, int64_t width, uint8_t *rgb) {
    for (int64_t i = 0; i < width * 3; i++) {
        int64_t k = file->kind == 6 ? i : i / 3;
        rgb[i] = scaled(file, file->most < 256 ? row[k] : (uint32_t)row[2 * k] << 8 | row[2 * k + 1]);
    }
}

bool sdx_picture_read_pnm(sdx_picture *picture) {
    pnm file = {.bytes = picture->bytes, .size = picture->size, .at = 2, .most = 1};
    uint32_t width = 0, height = 0, limit = INT32_MAX / 10;
    if (picture->size < 3) return false;
    file.kind = picture->bytes[1] - '0';
    if (file.kind < 1 || file.kind > 6 || !(is_space(picture->bytes[2]) || picture->bytes[2] == '#')) return false;
    if (!number(&file, limit, false, &width) || !number(&file, limit, false, &height)) return false;
    if (file.kind != 1 && file.kind != 4 && (!number(&file, 65535, false, &file.most) || file.most == 0)) return false;
    if (file.kind < 4) {
        size_t least = (size_t)width * height * (file.kind == 3 ? 3 : 1); /* digits */
        return file.size - file.at >= least && sdx_picture_begin(picture, width, height) && digits(&file, picture);
    }
    if (file.at == file.size || !is_space(file.bytes[file.at++])) return false;
    size_t row =
        file.kind == 4 ? ((size_t)width + 7) / 8 : (size_t)width * (file.kind == 6 ? 3 : 1) * (file.most < 256 ? 1 : 2);
    if (row == 0 || (file.size - file.at) / row < height || !sdx_picture_begin(picture, width, height)) return false;
    for (int64_t y = 0; y < picture->height; y++, file.at += row) {
        uint8_t *rgb = picture->rgb + y * picture->width * 3;
        if (file.kind == 4)
            bits(file.bytes + file.at, picture->width, rgb);
        else
            samples(&file, file.bytes + file.at, picture->width, rgb);
    }
    return true;
}
