/* kernel: always */
#if defined(__GNUC__)
#define WORDS __attribute__((aligned(4)))
#else
#define WORDS
#endif

/* acc * multiplier / 2^shift, rounded half up. C leaves open what >> does to negative numbers; all compilers in use for
   these processors shift the sign in. A shift above 32 needs the upper word of the product only. */
static int32_t rescaled(int32_t acc, int32_t multiplier, int shift)
{
    int64_t product = (int64_t)acc * multiplier;
    if (shift > 32) {
        int32_t upper = (int32_t)(product >> 32);
        return (upper + ((int32_t)1 << (shift - 33))) >> (shift - 32);
    }
    return (int32_t)((product + ((int64_t)1 << (shift - 1))) >> shift);
}

static int8_t saturated(int32_t value)
{
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

static int8_t looked_up(const int8_t *table, int8_t value)
{
    return table ? table[value + 128] : value;
}

/* kernel: convolution depthwise */
typedef struct {
    int height, width, channels;             /* of the input */
    int pixel;                               /* bytes from one pixel of it to the next */
    int out_height, out_width, outputs;      /* of the output; bytes from one pixel to the next are outputs */
    int kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, groups;
    int mirror;                              /* 0: none, 1: image, 2: twins */
    int flip;                                /* 0x80 where the input is uint8, else 0 */
    const int8_t *weight;
    const int32_t *bias, *multiplier;
    const int8_t *shift, *padding_value, *table;
    int zero_point;
    const int32_t *residual_weight;          /* none: 0 */
    int residual_shift, residual_zero_point;
} convolution_t;

static void finish(const convolution_t *layer, int output, int32_t acc, int8_t *y, const int8_t *residual)
{
    if (layer->residual_weight)
        acc = acc * ((int32_t)1 << layer->residual_shift)
            + layer->residual_weight[output] * (residual[output] - layer->residual_zero_point);
    acc = rescaled(acc, layer->multiplier[output], layer->shift[output]);
    y[output] = looked_up(layer->table, saturated(acc + layer->zero_point));
}

/* kernel: convolution */
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)
#define TWO_AT_ONCE 1
/* Four int8 weights become two pairs of int16 in two instructions, the even ones and the odd ones. Patches, which are
   widened once for all kernels, lie in that order. */
static inline uint32_t word(const void *bytes)
{
    uint32_t value;
    __builtin_memcpy(&value, bytes, 4);
    return value;
}

static inline uint32_t even_bytes(uint32_t four)
{
    uint32_t two;
    __asm__("sxtb16 %0, %1" : "=r"(two) : "r"(four));
    return two;
}

static inline uint32_t odd_bytes(uint32_t four)
{
    uint32_t two;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(two) : "r"(four));
    return two;
}

#define PLACE(i) (((i) & ~3) | (((i) & 1) << 1) | (((i) >> 1) & 1))
#else
#define TWO_AT_ONCE 0
#define PLACE(i) (i)
#endif

/* Appends count bytes to a patch that holds n numbers; gives how many it then holds. */
static int widened(int16_t *patch, int n, const int8_t *bytes, int count, int flip)
{
    int end = n + count;
    while (n < end) {
#if TWO_AT_ONCE
        if (!(n & 3)) {
            uint32_t flips = (uint32_t)flip * 0x01010101u;
            for (; n + 4 <= end; n += 4, bytes += 4) {
                uint32_t four = word(bytes) ^ flips, pairs[2];
                pairs[0] = even_bytes(four);
                pairs[1] = odd_bytes(four);
                __builtin_memcpy(patch + n, pairs, 8);
            }
            if (n == end)
                break;
        }
#endif
        patch[PLACE(n)] = (int8_t)(*bytes++ ^ flip);
        n++;
    }
    return n;
}

/* One pixel of a patch, its channels rolled by half of them for twins. */
static int pixel_widened(int16_t *patch, int n, const int8_t *bytes, int depth, int flip, int rolled)
{
    int half = rolled ? depth / 2 : 0;
    n = widened(patch, n, bytes + half, depth - half, flip);
    return half ? widened(patch, n, bytes, half, flip) : n;
}

/* What the kernels of a group see at (y, x) of the output, as int16; mirrored: what their mirror images see. */
static void gathered(const convolution_t *layer, int16_t *patch, const int8_t *input, int group, int y, int x, int mirrored)
{
    int depth = layer->channels / layer->groups, n = 0, i, j;
    int left = x * layer->stride_x - layer->padding_x, top = y * layer->stride_y - layer->padding_y;
    int rolled = mirrored && layer->mirror == 2;
    int joined = !mirrored && layer->dilation_x == 1 && layer->pixel == depth;
    const int8_t *padding_value = layer->padding_value + group * depth;
    input += group * depth;
    for (i = 0; i < layer->kernel_height; i++) {
        int row = top + i * layer->dilation_y, outside = row < 0 || row >= layer->height;
        if (joined && !outside && left >= 0 && left + layer->kernel_width <= layer->width) {
            n = widened(patch, n, input + (row * layer->width + left) * depth, layer->kernel_width * depth, layer->flip);
            continue;
        }
        for (j = 0; j < layer->kernel_width; j++) {
            int column = left + (mirrored ? layer->kernel_width - 1 - j : j) * layer->dilation_x;
            if (outside || column < 0 || column >= layer->width)
                n = pixel_widened(patch, n, padding_value, depth, 0, rolled);
            else
                n = pixel_widened(patch, n, input + (row * layer->width + column) * layer->pixel, depth, layer->flip, rolled);
        }
    }
    for (; n & 3; n++)
        patch[PLACE(n)] = 0;
}

/* Sums of two kernels over two patches of `length` numbers, a multiple of four. */
static void summed(const int8_t *first, const int8_t *second, const int16_t *left, const int16_t *right, int length,
                   int32_t *sums)
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
#if TWO_AT_ONCE
    uint32_t weights, even, odd, pair;
    /* In assembly since compilers run out of registers: this takes 13. The weights of the second kernel are read twice. */
    __asm__ volatile(
        "1:\n\t"
        "ldr %[odd], [%[first]], #4\n\t"
        "ldr %[weights], [%[second]]\n\t"
        "ldr %[pair], [%[left]], #4\n\t"
        "sxtb16 %[even], %[odd]\n\t"
        "sxtb16 %[odd], %[odd], ror #8\n\t"
        "sxtb16 %[weights], %[weights]\n\t"
        "smlad %[a], %[even], %[pair], %[a]\n\t"
        "smlad %[c], %[weights], %[pair], %[c]\n\t"
        "ldr %[pair], [%[right]], #4\n\t"
        "smlad %[b], %[even], %[pair], %[b]\n\t"
        "smlad %[d], %[weights], %[pair], %[d]\n\t"
        "ldr %[weights], [%[second]], #4\n\t"
        "ldr %[pair], [%[left]], #4\n\t"
        "sxtb16 %[weights], %[weights], ror #8\n\t"
        "smlad %[a], %[odd], %[pair], %[a]\n\t"
        "smlad %[c], %[weights], %[pair], %[c]\n\t"
        "ldr %[pair], [%[right]], #4\n\t"
        "smlad %[b], %[odd], %[pair], %[b]\n\t"
        "smlad %[d], %[weights], %[pair], %[d]\n\t"
        "subs %[length], %[length], #4\n\t"
        "bne 1b"
        : [first] "+r"(first), [second] "+r"(second), [left] "+r"(left), [right] "+r"(right), [length] "+r"(length),
          [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [weights] "=&r"(weights), [even] "=&r"(even),
          [odd] "=&r"(odd), [pair] "=&r"(pair)
        :
        : "cc", "memory");
#else
    int i;
    for (i = 0; i < length; i++) {
        a += first[i] * left[i];
        b += first[i] * right[i];
        c += second[i] * left[i];
        d += second[i] * right[i];
    }
#endif
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

/* The output of a sum: a logit, or a number of an activation. */
static void answered(const convolution_t *layer, int channel, int place, int32_t acc, int8_t *output, const int8_t *residual,
                     int32_t *logits)
{
    if (logits)
        logits[channel] = rescaled(acc, layer->multiplier[channel], layer->shift[channel]);
    else
        finish(layer, channel, acc, output + place * layer->outputs, residual ? residual + place * layer->outputs : 0);
}

/* Two pixels of the output at a time, or, where kernels have mirror images, one pixel of both; and two kernels. */
static void convolution(const convolution_t *layer, const int8_t *input, int8_t *output, const int8_t *residual,
                        int16_t *patches, int32_t *logits)
{
    int length = (layer->kernel_height * layer->kernel_width * (layer->channels / layer->groups) + 3) & ~3;
    int pixels = layer->out_height * layer->out_width, step = layer->mirror ? 1 : 2;
    int kernels = layer->outputs / (layer->mirror ? 2 : 1), each = kernels / layer->groups, group, pixel, k;
    int16_t *left = patches, *right = patches + length;
    for (group = 0; group < layer->groups; group++)
        for (pixel = 0; pixel < pixels; pixel += step) {
            /* The second column of sums is of the next pixel, if there is one, or of the mirrored kernels. */
            int next = layer->mirror ? pixel : pixel + 1, both = next < pixels, end = (group + 1) * each;
            gathered(layer, left, input, group, pixel / layer->out_width, pixel % layer->out_width, 0);
            if (both)
                gathered(layer, right, input, group, next / layer->out_width, next % layer->out_width, layer->mirror);
            for (k = group * each; k < end; k += 2) {
                int two = k + 1 < end, other = layer->mirror ? kernels : 0;
                const int8_t *first = layer->weight + k * length, *second = two ? first + length : first;
                int32_t sums[4];
                sums[0] = layer->bias[k];
                sums[1] = layer->bias[k + other];
                sums[2] = layer->bias[k + two];
                sums[3] = layer->bias[k + two + other];
                summed(first, second, left, both ? right : left, length, sums);
                answered(layer, k, pixel, sums[0], output, residual, logits);
                if (both)
                    answered(layer, k + other, next, sums[1], output, residual, logits);
                if (two)
                    answered(layer, k + 1, pixel, sums[2], output, residual, logits);
                if (two && both)
                    answered(layer, k + 1 + other, next, sums[3], output, residual, logits);
            }
        }
}

/* kernel: depthwise */
static void depthwise(const convolution_t *layer, const int8_t *input, int8_t *output, const int8_t *residual,
                      int32_t *logits)
{
    int channels = layer->channels, x, y, i, j, c;
    for (y = 0; y < layer->out_height; y++)
        for (x = 0; x < layer->out_width; x++) {
            int top = y * layer->stride_y - layer->padding_y, left = x * layer->stride_x - layer->padding_x;
            for (c = 0; c < channels; c++) {
                int32_t acc = layer->bias[c];
                const int8_t *weight = layer->weight + c;
                for (i = 0; i < layer->kernel_height; i++) {
                    int row = top + i * layer->dilation_y;
                    for (j = 0; j < layer->kernel_width; j++, weight += channels) {
                        int column = left + j * layer->dilation_x;
                        if (row < 0 || row >= layer->height || column < 0 || column >= layer->width)
                            acc += *weight * layer->padding_value[c];
                        else
                            acc += *weight
                                 * (int8_t)(input[(row * layer->width + column) * layer->pixel + c] ^ layer->flip);
                    }
                }
                if (logits)
                    logits[c] = rescaled(acc, layer->multiplier[c], layer->shift[c]);
                else
                    finish(layer, c, acc, output, residual);
            }
            if (output)
                output += channels;
            if (residual)
                residual += channels;
        }
}

/* kernel: mean */
static void mean(const int8_t *input, int8_t *output, int pixels, int channels, int32_t bias, int32_t multiplier, int shift,
                 int zero_point, const int8_t *table, int32_t *logits)
{
    int c, i;
    for (c = 0; c < channels; c++) {
        int32_t acc = bias;
        for (i = 0; i < pixels; i++)
            acc += input[i * channels + c];
        acc = rescaled(acc, multiplier, shift);
        if (logits)
            logits[c] = acc;
        else
            output[c] = looked_up(table, saturated(acc + zero_point));
    }
}

/* kernel: max_pool */
static void max_pool(const int8_t *input, int8_t *output, int height, int width, int channels, int out_height, int out_width,
                     int kernel_y, int kernel_x, int stride_y, int stride_x, int padding_y, int padding_x)
{
    int y, x, c, i, j;
    for (y = 0; y < out_height; y++)
        for (x = 0; x < out_width; x++)
            for (c = 0; c < channels; c++) {
                int8_t largest = -128;
                for (i = 0; i < kernel_y; i++)
                    for (j = 0; j < kernel_x; j++) {
                        int row = y * stride_y - padding_y + i, column = x * stride_x - padding_x + j;
                        if (row >= 0 && row < height && column >= 0 && column < width) {
                            int8_t value = input[(row * width + column) * channels + c];
                            if (value > largest)
                                largest = value;
                        }
                    }
                *output++ = largest;
            }
}

/* kernel: add */
static void add(const int8_t *first, const int8_t *second, int8_t *output, int pixels, int channels, int is_map,
                int32_t first_weight, int first_zero, int32_t second_weight, int second_zero, int shift, int zero_point,
                const int8_t *table)
{
    int i, c;
    for (i = 0; i < pixels; i++, second += is_map ? channels : 0)
        for (c = 0; c < channels; c++) {
            int32_t acc = first_weight * (*first++ - first_zero) + second_weight * (second[c] - second_zero);
            *output++ = looked_up(table, saturated(rescaled(acc, 1, shift) + zero_point));
        }
}

/* kernel: multiply */
static void multiply(const int8_t *first, const int8_t *second, int8_t *output, int pixels, int channels, int is_map,
                     int first_zero, int second_zero, int32_t multiplier, int shift, int zero_point, const int8_t *table)
{
    int i, c;
    for (i = 0; i < pixels; i++, second += is_map ? channels : 0)
        for (c = 0; c < channels; c++) {
            int32_t acc = (int32_t)(*first++ - first_zero) * (second[c] - second_zero);
            *output++ = looked_up(table, saturated(rescaled(acc, multiplier, shift) + zero_point));
        }
}

/* kernel: copied */
/* Channels of an input, each number through a table if there is one, into some of the channels of an output. */
static void copied(const int8_t *input, int8_t *output, int pixels, int channels, int from, int to, const int8_t *table)
{
    int i, c;
    for (i = 0; i < pixels; i++, input += from, output += to)
        for (c = 0; c < channels; c++)
            output[c] = looked_up(table, input[c]);
}

/* kernel: digit_sum */
/* Log-probabilities of the sums 0..count - 1 + 9 of what `total` has `count` of and a digit, in units of log2(x) / 256. */
static int digit_added(int32_t *total, int count, const int32_t *digit)
{
    int s, d;
    for (s = count + DIGITS - 2; s >= 0; s--) { /* from the end: smaller sums are still needed */
        int low = s < count ? 0 : s - count + 1, high = s < DIGITS - 1 ? s : DIGITS - 1, halvings = 0;
        int32_t largest = total[s - low] + digit[low], sum = 0;
        for (d = low + 1; d <= high; d++)
            if (total[s - d] + digit[d] > largest)
                largest = total[s - d] + digit[d];
        for (d = low; d <= high; d++) {
            int32_t below = largest - total[s - d] - digit[d];
            if (below < 31 * 256)
                sum += exp2_table[below % 256] >> (below / 256);
        }
        while (sum >= (int32_t)1 << 25)
            sum >>= 1, halvings++;
        total[s] = largest + 256 * halvings + log2_table[(sum - ((int32_t)1 << 24) + (1 << 15)) >> 16];
    }
    return count + DIGITS - 1;
}
