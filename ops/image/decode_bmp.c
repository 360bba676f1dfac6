/* SPDX-License-Identifier: Apache-2.0
 * BMP: headers of OS/2 and Windows, 1 to 32 bits a pixel, palettes, bit masks, run lengths. Rows lie from bottom to top
 * unless the height is negative, padded to 4 bytes. */
#include "ops/image/decode.h"

enum { FILE_HEADER = 14, CORE = 12, INFO = 40 };
enum { PLAIN = 0, RLE8 = 1, RLE4 = 2, MASKS = 3, MASKS_WITH_ALPHA = 6 };

typedef struct bitmap {
    const uint8_t *palette; /* blue, green, red, in entries of `entry` bytes */
    size_t n_colours, entry;
    const uint8_t *data;
    size_t size, stride; /* of the data; of a row */
    unsigned bits;
    uint32_t packing;
    uint32_t mask[3]; /* red, green, blue */
    bool top_down;
} bitmap;

static uint8_t *row_of(const sdx_picture *picture, const bitmap *map, int64_t y) {
    return picture->rgb + (map->top_down ? y : picture->height - 1 - y) * picture->width * 3;
}

static void put_index(const bitmap *map, unsigned index, uint8_t *rgb) {
    if (index >= map->n_colours) return; /* stays black */
    for (size_t c = 0; c < 3; c++) rgb[c] = map->palette[index * map->entry + 2 - c];
}

static uint8_t masked(uint32_t pixel, uint32_t mask) {
    if (mask == 0) return 0;
    int shift = __builtin_ctz(mask);
    return (uint8_t)((uint64_t)((pixel & mask) >> shift) * 255 / (mask >> shift));
}

static void read_row(const bitmap *map, const uint8_t *from, int64_t width, uint8_t *rgb) {
    for (int64_t x = 0; x < width; x++, rgb += 3) {
        if (map->bits <= 8) {
            unsigned shift = 8 - map->bits - (unsigned)x * map->bits % 8;
            put_index(map, (unsigned)from[(uint64_t)x * map->bits / 8] >> shift & ((1u << map->bits) - 1), rgb);
        } else if (map->bits == 24) {
            for (int c = 0; c < 3; c++) rgb[c] = from[3 * x + 2 - c];
        } else {
            uint32_t pixel = map->bits == 16 ? sdx_le16(from + 2 * x) : sdx_le32(from + 4 * x);
            for (int c = 0; c < 3; c++) rgb[c] = masked(pixel, map->mask[c]);
        }
    }
}

static bool read_plain(sdx_picture *picture, const bitmap *map) {
    if (!sdx_picture_begin(picture, picture->width, picture->height)) return false;
    for (int64_t y = 0; y < picture->height; y++)
        read_row(map, map->data + (size_t)y * map->stride, picture->width, row_of(picture, map, y));
    return true;
}

static void put_at(sdx_picture *picture, const bitmap *map, int64_t x, int64_t y, unsigned index) {
    if (x < picture->width && y < picture->height) put_index(map, index, row_of(picture, map, y) + 3 * x);
}

/* Entry i of a run whose pixels lie at `from`; a repeated run has one byte. */
static unsigned run_index(const bitmap *map, const uint8_t *from, unsigned i, bool repeated) {
    if (map->packing == RLE8) return from[repeated ? 0 : i];
    uint8_t pair = from[repeated ? 0 : i / 2];
    return i % 2 ? pair & 15u : pair >> 4;
}

static bool read_runs(sdx_picture *picture, const bitmap *map) {
    int64_t x = 0, y = 0;
    size_t at = 0;
    if (!sdx_picture_begin(picture, picture->width, picture->height)) return false;
    for (int64_t i = 0; i < picture->width * picture->height; i++) put_index(map, 0, picture->rgb + 3 * i);
    while (y < picture->height && map->size - at >= 2) {
        const uint8_t *code = map->data + at;
        unsigned n = code[0] ? code[0] : code[1];
        at += 2;
        if (code[0] || n > 2) {
            size_t room = code[0] ? 0 : ((map->packing == RLE8 ? n : (n + 1) / 2) + 1) / 2 * 2;
            if (room > map->size - at) return false;
            at += room;
            for (unsigned i = 0; i < n; i++, x++)
                put_at(picture, map, x, y, run_index(map, code + (code[0] ? 1 : 2), i, code[0] != 0));
        } else if (n == 1) {
            return true;
        } else if (n == 0) {
            x = 0;
            y++;
        } else {
            if (map->size - at < 2) return false;
            x += code[2];
            y += code[3];
            at += 2;
        }
    }
    return y >= picture->height;
}

/* Size of the picture, bits, packing and palette; false for what is no BMP. */
static bool read_header(sdx_picture *picture, bitmap *map, uint32_t header) {
    const uint8_t *info = picture->bytes + FILE_HEADER;
    size_t colours = 0;
    map->entry = header == CORE ? 3 : 4;
    if (header == CORE) {
        picture->width = sdx_le16(info + 4);
        picture->height = sdx_le16(info + 6);
        map->bits = sdx_le16(info + 10);
    } else {
        picture->width = (int32_t)sdx_le32(info + 4);
        picture->height = (int32_t)sdx_le32(info + 8);
        map->bits = sdx_le16(info + 14);
        map->packing = sdx_le32(info + 16);
        colours = sdx_le32(info + 32);
        map->top_down = picture->height < 0;
        if (map->top_down) picture->height = -picture->height;
    }
    if (picture->width <= 0 || picture->height <= 0) return false;
    bool masks = map->packing == MASKS || map->packing == MASKS_WITH_ALPHA;
    size_t after = header == INFO && masks ? map->packing == MASKS ? 12 : 16 : 0;
    if (picture->size < FILE_HEADER + header + after) return false;
    for (int c = 0; c < 3; c++) {
        uint32_t usual = map->bits == 16 ? 0x7c00u >> (5 * c) : 0xff0000u >> (8 * c);
        map->mask[c] = masks ? sdx_le32(info + INFO + 4 * c) : usual;
    }
    if (map->bits > 8) return true;
    map->palette = info + header + after;
    map->n_colours = (size_t)1 << map->bits;
    if (colours && colours < map->n_colours) map->n_colours = colours;
    return map->n_colours * map->entry <= picture->size - FILE_HEADER - header - after;
}

static bool known_packing(const bitmap *map) {
    switch (map->packing) {
    case PLAIN:
        return map->bits == 1 || map->bits == 2 || map->bits == 4 || map->bits == 8 || map->bits == 16 ||
               map->bits == 24 || map->bits == 32;
    case RLE8: return map->bits == 8;
    case RLE4: return map->bits == 4;
    case MASKS:
    case MASKS_WITH_ALPHA: return map->bits == 16 || map->bits == 32;
    default: return false;
    }
}

bool sdx_picture_read_bmp(sdx_picture *picture) {
    bitmap map = {.packing = PLAIN};
    if (picture->size < FILE_HEADER + CORE) return false;
    uint32_t start = sdx_le32(picture->bytes + 10), header = sdx_le32(picture->bytes + FILE_HEADER);
    if ((header != CORE && header < INFO) || header > picture->size - FILE_HEADER || start > picture->size)
        return false;
    if (!read_header(picture, &map, header) || !known_packing(&map)) return false;
    map.data = picture->bytes + start;
    map.size = picture->size - start;
    map.stride = ((size_t)picture->width * map.bits + 31) / 32 * 4;
    if (map.packing == RLE8 || map.packing == RLE4) return read_runs(picture, &map);
    return map.size / map.stride >= (size_t)picture->height && read_plain(picture, &map);
}
