//! What the program asks of an nRF52: its flash and its watchdog.

use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::peripherals::WDT;
use embassy_nrf::wdt::{Config, Watchdog, WatchdogHandle};

/// Resets the chip where it is not fed for so long: more than a step takes. Ticks of 32768 Hz.
const WATCHDOG_TICKS: u32 = 8 * 32768;

pub struct Board {
    pub flash: Nvmc<'static>,
    watchdog: Option<WatchdogHandle>,
}

impl Board {
    /// Starts the chip.
    pub fn start() -> Self {
        let peripherals = embassy_nrf::init(embassy_nrf::config::Config::default());
        let mut config = Config::default();
        config.timeout_ticks = WATCHDOG_TICKS;
        let watchdog = Watchdog::try_new::<WDT, 1>(peripherals.WDT, config);
        Self {
            flash: Nvmc::new(peripherals.NVMC),
            // A bootloader may have started another one.
            watchdog: watchdog.ok().map(|(_, [handle])| handle),
        }
    }

    /// Called after every step.
    pub fn feed_watchdog(&mut self) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.pet();
        }
    }
}
