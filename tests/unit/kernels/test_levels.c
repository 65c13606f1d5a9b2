/* Levels as this machine has them. */
#include "levels_suite.h"
