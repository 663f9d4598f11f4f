/* Start and end of a program on a bare Cortex-M in QEMU: main's result becomes QEMU's exit status. */
#include <stdint.h>

extern int main(void);
extern uint32_t stack_top;

static void semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *text)
{
    semihosting(0x04, text); /* SYS_WRITE0 */
}

static void reset(void)
{
    uint32_t exit[2] = {0x20026, 0}; /* ADP_Stopped_ApplicationExit */
    exit[1] = (uint32_t)main();
    semihosting(0x20, exit); /* SYS_EXIT_EXTENDED */
    for (;;) {
    }
}

static void fault(void)
{
    uint32_t exit[2] = {0x20026, 254};
    semihosting(0x20, exit);
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) void (*const vectors[16])(void) = {
    (void (*)(void))&stack_top, reset, fault, fault, fault, fault, fault,
};
