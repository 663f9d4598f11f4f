/* Prints how many instructions an image takes. QEMU with -icount shift=0 lets each take a nanosecond, and the boards'
   SysTick counts down at 25 MHz: 40 instructions a tick, 24 bits of them. */
#include <stdint.h>

#define STRING(name) #name
#define HEADER(name) STRING(name.h)
#define JOIN(name, what) name##what
#define CALL(name) JOIN(name, _class)
#include HEADER(NET)

#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)

extern void print(const char *text);

int main(void)
{
    static uint8_t image[PIXELS];
    char text[16];
    uint32_t before, count;
    int i;
    for (i = 0; i < PIXELS; i++)
        image[i] = (uint8_t)(i * 37 + i / 7);
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 5;
    before = SYST_CVR;
    (void)CALL(NET)(image);
    count = 40 * ((before - SYST_CVR) & 0xFFFFFF);
    text[15] = 0;
    text[14] = '\n';
    for (i = 13; i >= 0; i--, count /= 10)
        text[i] = (char)('0' + count % 10);
    print(text);
    return 0;
}
