/* Levels as on a machine of another vendor: what they choose by it has the same bits. */
#if defined __x86_64__
#include "kernels/x86/levels.h"

bool __real_x86_is_amd(void);
bool __wrap_x86_is_amd(void);
bool __wrap_x86_is_amd(void)
{
    return !__real_x86_is_amd();
}
#endif

#include "levels_suite.h"
