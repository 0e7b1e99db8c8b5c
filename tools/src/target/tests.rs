//! What names, options and files become, and what they are refused for.

use super::file::parse;
use super::{Described, Target};
use crate::ErrorKind;

fn said(flash: &str, ram: &str, core: &str, clock: &str) -> Described {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Described {
        flash: some(flash),
        ram: some(ram),
        core: some(core),
        clock: some(clock),
    }
}

#[test]
fn boards_and_chips_are_found_by_name() {
    let board = Target::named("netduinoplus2").unwrap();
    assert_eq!(
        (board.clock_hz, board.board.map(|board| board.name)),
        (Some(168_000_000), Some("netduinoplus2"))
    );
    let chip = Target::named("NRF52840").unwrap();
    assert_eq!((chip.flash.bytes, chip.ram_bytes()), (1 << 20, 256 << 10));
    assert!(chip.board.is_none() && chip.stand_in().unwrap().core.runs_code_of(chip.core));
    let error = Target::named("toaster").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let advice = error.advice().unwrap();
    assert!(
        ["netduinoplus2", "nrf52840", "--flash 512K"]
            .iter()
            .all(|name| advice.contains(name)),
        "{advice}"
    );
}

#[test]
fn what_has_no_emulator_is_not_run() {
    let error = Target::named("nrf52840").unwrap().emulator().unwrap_err();
    assert!(error.to_string().contains("nrf52840 has no emulator"), "{error}");
    assert!(error.advice().unwrap().contains("mps2-an386"));
    let error = Target::named("esp32c3").unwrap().emulator().unwrap_err();
    assert!(
        error
            .advice()
            .unwrap()
            .contains("no simulated board runs the code of a RV32IMC")
    );
    assert_eq!(Target::named("microbit").unwrap().emulator().unwrap().name, "microbit");
    // The chip of a simulated board is that board, and with other memory it is not.
    let chip = Target::asked(Some("stm32f405rg"), &said("", "", "", "84MHz"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (chip.clock_hz, chip.emulator().unwrap().name),
        (Some(84_000_000), "netduinoplus2")
    );
    let chip = Target::asked(Some("stm32f405rg"), &said("", "64K", "", ""))
        .unwrap()
        .unwrap();
    assert!(chip.emulator().is_err());
}

#[test]
fn a_board_can_be_described() {
    let target = Target::asked(None, &said("512K", "128K", "cortex-m4f", "64MHz"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            target.flash.bytes,
            target.ram_bytes(),
            target.core.name,
            target.clock_hz
        ),
        (512 << 10, 128 << 10, "Cortex-M4F", Some(64_000_000))
    );
    assert!(Target::asked(None, &Described::default()).unwrap().is_none());
    for (described, says, help) in [
        (said("512K", "", "", ""), "needs --ram and --core", "--flash 512K"),
        (
            said("512K", "1K", "z80", ""),
            "--core: unknown core 'z80'",
            "cortex-m33",
        ),
        (
            said("512K", "1K", "cortex-m4", ""),
            "unknown core 'cortex-m4'",
            "cortex-m4f",
        ),
        (said("0K", "1K", "cortex-m4f", ""), "--flash: '0K' is no memory", "512K"),
        (
            said("512", "1K", "cortex-m4f", ""),
            "--flash: '512' is a size without a unit",
            "512K",
        ),
        (
            said("1M", "1K", "cortex-m4f", "64"),
            "--clock: '64' is a clock without a unit",
            "64MHz",
        ),
    ] {
        let error = Target::asked(None, &described).unwrap_err();
        let (text, advice) = (error.to_string(), error.advice().unwrap_or_default().to_owned());
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(text.contains(says) && advice.contains(help), "{text} / {advice}");
    }
}

#[test]
fn a_file_describes_a_board() {
    let text = "chip = \"nrf52840\"\nname = \"badge\"\nram = \"64K\"\nram_start = 0x20010000\nua_per_mhz = 40.5\n";
    let target = parse("badge.toml", "badge", text).unwrap();
    assert_eq!((target.name.as_str(), target.ram_bytes()), ("badge", 64 << 10));
    assert_eq!(
        (target.ram[0].origin, target.flash.origin),
        (Some(0x2001_0000), Some(0))
    );
    assert_eq!(
        target.power.map(|power| (power.ua_per_mhz, power.millivolts)),
        Some((40.5, 3_000))
    );
    let text = "core = \"rv32imac\"\nflash = \"1M\"\nram = \"256K\"\n";
    let target = parse("b/own.toml", "own", text).unwrap();
    assert_eq!(
        (target.name.as_str(), target.core.name, target.clock_hz),
        ("own", "RV32IMAC", None)
    );
}

#[test]
fn a_wrong_file_is_refused_by_field_and_value() {
    for (text, says, help) in [
        (
            "flahs = \"512K\"",
            "b.toml: flahs = \"512K\": unknown field",
            "flash_start",
        ),
        ("chip = \"nrf9\"", "b.toml: chip = \"nrf9\": unknown chip", "nrf52840"),
        ("chip = \"b.toml\"", "unknown chip", "nrf52840"),
        (
            "chip = \"nrf52840\"\nram = 64",
            "b.toml: ram = 64: '64' is a size without a unit",
            "512K",
        ),
        (
            "chip = \"nrf52840\"\nflash = \"0K\"",
            "flash = \"0K\": '0K' is no memory",
            "512K",
        ),
        ("chip = \"nrf52840\"\ncore = 4", "core = 4: is no text", "core = "),
        (
            "chip = \"nrf52840\"\nram_start = -1",
            "ram_start = -1: is no number from 0",
            "ram_start",
        ),
        (
            "chip = \"nrf52840\"\nram_start = 0x20000001",
            "ram_start = 536870913: is no multiple of 4",
            "0x20000000",
        ),
        (
            "chip = \"nrf52840\"\nflash_start = 0.5",
            "flash_start = 0.5: is no multiple",
            "first byte",
        ),
        (
            "chip = \"nrf52840\"\nram = \"128K\"\nram_start = 0xFFFFFFF0",
            "ram_start = 4294967280: ends 131072 bytes on, beyond 0xFFFFFFFF",
            "its size",
        ),
        (
            "chip = \"nrf52840\"\nflash = \"1M\"\nflash_start = 0xFFFF0000",
            "flash_start = 4294901760: ends 1048576 bytes on",
            "where the memory begins",
        ),
        (
            "chip = \"pico\"\nua_per_mhz = nan",
            "ua_per_mhz = nan or inf: is no number from 0.1",
            "or more",
        ),
        (
            "chip = \"pico\"\nchip = \"pico\"",
            "b.toml is no TOML (duplicate key: `chip` at line 2 column 1)",
            "mend the line",
        ),
        ("core = \"cortex-m0\"", "b.toml lacks flash and ram", "chip"),
        ("chip = \"pico\"\nmillivolts = 3300", "gives one of", "both"),
        ("chip = \"pico\"\nname = \"\"", "has no character", "short name"),
        ("chip = ", "b.toml is no TOML", "mend"),
    ] {
        let error = parse("b.toml", "b", text).unwrap_err();
        let (shown, advice) = (error.to_string(), error.advice().unwrap_or_default().to_owned());
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(shown.contains(says) && advice.contains(help), "{shown} / {advice}");
    }
    let error = Target::named("no-such-folder/board.toml").unwrap_err();
    assert!(error.to_string().contains("no-such-folder/board.toml"), "{error}");
}
