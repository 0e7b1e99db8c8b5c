# Memory and core of the boards, as QEMU has them. For another: its addresses, its flags for the C compiler, its target in Rust.
#     board(NAME KIND FLASH RAM STACK C-FLAGS RUST-TARGET [RUST-CPU])
# The model and the program lie in flash, arena and stack in RAM. Each region is "origin, bytes".
macro(board name kind flash ram stack flags target)
    if(BOARD STREQUAL "${name}")
        set(BOARD_KIND ${kind})
        set(BOARD_FLASH "ORIGIN = ${flash}")
        set(BOARD_RAM "ORIGIN = ${ram}")
        set(BOARD_STACK ${stack})
        set(BOARD_RUST_TARGET ${target})
        set(BOARD_RUST_CPU ${ARGN})
        set(CMAKE_C_FLAGS_INIT "${flags}")
        set(CMAKE_ASM_FLAGS_INIT "${flags}")
    endif()
endmacro()

set(arm "--target=arm-none-eabi -mthumb")
set(hard "-mfloat-abi=hard")
board(microbit cortex_m "0, LENGTH = 256K" "0x20000000, LENGTH = 16K" 4K "${arm} -mcpu=cortex-m0" thumbv6m-none-eabi)
board(lm3s6965evb cortex_m "0, LENGTH = 256K" "0x20000000, LENGTH = 64K" 4K "${arm} -mcpu=cortex-m3" thumbv7m-none-eabi)
board(netduinoplus2 cortex_m "0x08000000, LENGTH = 1M" "0x20000000, LENGTH = 128K" 4K
    "${arm} -mcpu=cortex-m4 ${hard} -mfpu=fpv4-sp-d16" thumbv7em-none-eabihf)
board(mps2-an386 cortex_m "0, LENGTH = 4M" "0x20000000, LENGTH = 4M" 4K
    "${arm} -mcpu=cortex-m4 ${hard} -mfpu=fpv4-sp-d16" thumbv7em-none-eabihf)
board(mps2-an500 cortex_m "0, LENGTH = 4M" "0x20000000, LENGTH = 4M" 4K
    "${arm} -mcpu=cortex-m7 ${hard} -mfpu=fpv5-sp-d16" thumbv7em-none-eabihf)
board(mps2-an505 cortex_m "0x10000000, LENGTH = 4M" "0x38000000, LENGTH = 4M" 4K
    "${arm} -mcpu=cortex-m33 ${hard} -mfpu=fpv5-sp-d16" thumbv8m.main-none-eabihf cortex-m33)
board(mps3-an547 cortex_m "0, LENGTH = 512K" "0x20000000, LENGTH = 512K" 4K
    "${arm} -mcpu=cortex-m55 ${hard}" thumbv8m.main-none-eabihf cortex-m55)
board(virt riscv "0x80000000, LENGTH = 4M" "0x84000000, LENGTH = 512K" 4K
    "--target=riscv32-none-elf -march=rv32imac -mabi=ilp32 -mcmodel=medany" riscv32imac-unknown-none-elf)

if(NOT BOARD_KIND)
    message(FATAL_ERROR "boards.cmake has no board '${BOARD}'")
endif()
