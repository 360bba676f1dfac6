/* SPDX-License-Identifier: Apache-2.0
 * ImageDecoder on small files of the formats that libraries read: what they show, and that no file cut short and none
 * with a changed byte does harm. */
#include "support.h"

enum { HEIGHT = 3, WIDTH = 4, MOST = 1024 };

/* Rows of red, green, blue; the last column is white. */
static const struct file {
    const char *name;
    int tolerance;
    const char *hex;
} files[] = {
    {"png", 0,
     "89504e470d0a1a0a0000000d49484452000000040000000308020000003b9639910000001b49444154789c35c7b1010000008220"
     "fdff689b62c3b8922f92af18a1d308fb5cdd12410000000049454e44ae426082"},
    {"png_palette", 0,
     "89504e470d0a1a0a0000000d4948445200000004000000030203000000c99a46550000000c504c5445ffffff00ff00ff00000000"
     "ff170140ea0000000e49444154789c6358c110c2f00700054601f9a18e01610000000049454e44ae426082"},
    {"jpeg", 14,
     "ffd8ffe000104a46494600010100000100010000ffdb004300020101010101020101010202020202040302020202050404030406"
     "0506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affdb00430102020202020205030305"
     "0a0706070a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
     "0a0affc00011080003000403011100021101031101ffc40014000100000000000000000000000000000008ffc4001f1000010403"
     "0003010000000000000000000102030405060711090a1322ffc4001501010100000000000000000000000000000507ffc4001d11"
     "0002020203010000000000000000000001020304051106071208ffda000c03010002110311003f0064faa8ececc36bf8f3ccb22c"
     "d644176533b9ec6336aafa68b051f315350a00b719b6d04f56afd105447077800177fa17a938074d734af85e2151abd692ba4cca"
     "d34f39323492a16f762495c02b1a0f21828d6c0d9624bc4e533996ac66cadfb37240741ed599ed48174085125892570809242060"
     "a199980db313ffd9"},
    {"jpeg_inks", 14,
     "ffd8ffee000e41646f626500640000000000ffdb0043000201010101010201010102020202020403020202020504040304060506"
     "060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affc000140800030004044311004d110059"
     "11004b1100ffc4001500010100000000000000000000000000000809ffc400231000010402020202030000000000000000020103"
     "04050607081109120a13001516ffda000e0443004d0059004b00003f0056fc45390bbf7929e36f36ceb919bc730cfeee26f0b281"
     "16e735c9a55aca6628d3d33831c1d94e198b486eba6808bea84e1af5d92f6adf88a6f1cd37f78dbcdb31cea970f812e36f0b284d"
     "b3856bda6c6a2ab634f4c684716a224661c77b70915e205714500549440106ce70a7815c4ef1dbab2c34a70eb54ff1f8c5a640ed"
     "dceacfdecfb0fb67b8c30c1bdf64e7de707b6a3303ea84829e9da222a92adfcfcfffd9"},
    {"webp", 0,
     "5249464632000000574542505650384c250000002f038000001f201048de1f3a8df9171014fc1fddfc47640f402090f85b25b1c4"
     "4411fd8f0300"},
    {"tiff", 0,
     "49492a00080000000a00000104000100000004000000010104000100000003000000020103000300000086000000030103000100"
     "00000100000006010300010000000200000011010400010000008c00000015010300010000000300000016010400010000000300"
     "00001701040001000000240000001c010300010000000100000000000000080008000800ff0000ff0000ff0000ffffff00ff0000"
     "ff0000ff00ffffff0000ff0000ff0000ffffffff"},
    {"tiff_lzw", 0,
     "49492a001e000000803fc00008141206ff8441a1502844161d0786c040000a000001030001000000040000000101030001000000"
     "0300000002010300030000009c000000030103000100000005000000060103000100000002000000110104000100000008000000"
     "1501030001000000030000001601030001000000030000001701040001000000150000001c010300010000000100000000000000"
     "080008000800"},
    {"jpeg2000_stream", 0,
     "ff4fff51002f000000000004000000030000000000000000000000040000000300000000000000000003070101070101070101ff"
     "52000c00000001000104040001ff5c00074040484850ff640025000143726561746564206279204f70656e4a5045472076657273"
     "696f6e20322e352e34ff90000a0000000000570001ff93df80300c49d5d5e26fc7d4040d03df8030076b9781502fdf98247da050"
     "fb40800fd653c5081f0b17c7da073f0028fc00800cf83f01670c05df98247da050fb40800db83057081f0b17ffd9"},
    {"jpeg2000_file", 0,
     "0000000c6a5020200d0a870a00000014667479706a703220000000006a7032200000002d6a703268000000166968647200000003"
     "000000040003070700000000000f636f6c7201000000000010000000d26a703263ff4fff51002f00000000000400000003000000"
     "0000000000000000040000000300000000000000000003070101070101070101ff52000c00000001000104040001ff5c00074040"
     "484850ff640025000143726561746564206279204f70656e4a5045472076657273696f6e20322e352e34ff90000a000000000057"
     "0001ff93df80300c49d5d5e26fc7d4040d03df8030076b9781502fdf98247da050fb40800fd653c5081f0b17c7da073f0028fc00"
     "800cf83f01670c05df98247da050fb40800db83057081f0b17ffd9"},
};

typedef struct decoder {
    sdx_model *model;
    sdx_memory memory;
    sdx_run run;
} decoder;

static void set_up(decoder *d) {
    d->model = new_model();
    sdx_memory_init(&d->memory, 1 << 24);
    d->run = (sdx_run){.memory = &d->memory, .error = &test_error, .model = "test.onnx"};
    sdx_graph *graph = d->model->graph;
    add_output(graph, add_node(graph, "ImageDecoder", "image", IDS(add_input(graph, "x", SDX_U8, DIMS(-1)))));
    finish_model(d->model);
}

static void tear_down(decoder *d) {
    assert_int_equal(sdx_memory_used(&d->memory), 0);
    sdx_model_close(d->model);
}

static sdx_status decode(decoder *d, const uint8_t *bytes, size_t size, sdx_value **out) {
    const bool wanted[] = {true};
    sdx_value *in[] = {new_tensor(SDX_U8, DIMS((int64_t)size), bytes)};
    test_error = (sdx_error){0};
    sdx_status status = sdx_exec_node(d->model->graph, d->model->graph->nodes[0], &d->run, in, wanted, out);
    sdx_value_release(in[0]);
    return status;
}

static size_t bytes_of(const struct file *file, uint8_t *bytes) {
    size_t n = strlen(file->hex) / 2;
    assert_in_range(n, 1, MOST);
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(file->hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return n;
}

static void files_show_stripes(void **state) {
    (void)state;
    decoder d;
    set_up(&d);
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        uint8_t bytes[MOST];
        sdx_value *image = NULL;
        OK(decode(&d, bytes, bytes_of(&files[f], bytes), &image));
        if (image->tensor.rank != 3 || image->tensor.dim[0] != HEIGHT || image->tensor.dim[1] != WIDTH)
            fail_msg("%s: the picture is %lld x %lld", files[f].name, (long long)image->tensor.dim[1],
                     (long long)image->tensor.dim[0]);
        for (int i = 0; i < HEIGHT * WIDTH * 3; i++) {
            int is = ((const uint8_t *)image->tensor.data)[i], x = i / 3 % WIDTH, y = i / 3 / WIDTH;
            int wanted = x == WIDTH - 1 || i % 3 == y ? 255 : 0, off = is > wanted ? is - wanted : wanted - is;
            if (off > files[f].tolerance)
                fail_msg("%s: channel %d of (%d, %d) is %d, expected %d", files[f].name, i % 3, x, y, is, wanted);
        }
        sdx_value_release(image);
    }
    tear_down(&d);
}

/* A damaged file gives a picture, an empty one, or an error of size or memory. */
static void survive(decoder *d, const char *name, const uint8_t *bytes, size_t size) {
    sdx_value *image = NULL;
    sdx_status status = decode(d, bytes, size, &image);
    if (status != SDX_OK && status != SDX_LIMIT && status != SDX_OUT_OF_MEMORY)
        fail_msg("%s: %s: %s", name, sdx_status_text(status), test_error.message);
    sdx_value_release(image);
    assert_int_equal(sdx_memory_used(&d->memory), 0);
}

static void damage_does_no_harm(void **state) {
    (void)state;
    decoder d;
    set_up(&d);
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        uint8_t bytes[MOST];
        size_t n = bytes_of(&files[f], bytes);
        for (size_t i = 0; i < n; i++) {
            static const uint8_t changes[] = {0x01, 0x80, 0xff};
            survive(&d, files[f].name, bytes, i);
            for (size_t c = 0; c < sizeof changes; c++) {
                bytes[i] ^= changes[c];
                survive(&d, files[f].name, bytes, n);
                bytes[i] ^= changes[c];
            }
        }
    }
    tear_down(&d);
}

static void cut_files_are_empty(void **state) {
    (void)state;
    decoder d;
    set_up(&d);
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        uint8_t bytes[MOST];
        sdx_value *image = NULL;
        OK(decode(&d, bytes, bytes_of(&files[f], bytes) / 2, &image));
        if (image->tensor.count) fail_msg("%s: half of the file is a picture", files[f].name);
        assert_int_equal(image->tensor.dim[2], 3);
        sdx_value_release(image);
    }
    tear_down(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_show_stripes),
        cmocka_unit_test(damage_does_no_harm),
        cmocka_unit_test(cut_files_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
