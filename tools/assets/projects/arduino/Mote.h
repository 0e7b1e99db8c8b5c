// The library's header, by a name that Arduino finds the library by.
#pragma once
#include "mote_c.h"
