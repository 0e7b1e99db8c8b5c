//! Codes of what runs model files: this machine, simulated boards, the page's module, graphics processors, the oracle.

use crate::backend::BackendError;
use mote_cuda::CudaError;
use mote_firmware_sim::SimError;
use mote_oracle::OracleError;

codes! { BackendError, BACKENDS:
    Unavailable 1601 "The backend cannot run here: a tool, a device or a part of this build is missing."
        "The message says how to get it; `mote doctor` lists all. Another backend gives the same bits."
    NotInPage 1602 "The page's module was built without a part that the run needs, to stay small."
        "Choose another backend, such as cpu."
    Page 1603 "The page's module refused the run, or its interpreter failed."
        "The message has the status of `mote.h`. Choose another backend, and report it."
    ; through Run Oracle Cuda Board
}

codes! { SimError, BOARDS:
    DoesNotFit 1651 "The model and its firmware take more than the board has."
        "Take a narrower `--scheme`, a smaller network or a larger board; the message has the numbers."
    Missing 1652 "A simulator, a compiler or a linker is not here."
        "`mote doctor` says what to install."
    Model 1653 "The model file was refused before any firmware was built."
        "Convert the checkpoint again with this version."
    Request 1654 "The request cannot be put to the firmware."
        "Give fewer images, or another start."
    NoSource 1655 "The firmware's source is not where it was when this program was built."
        "Run it from the source tree, or set `MOTE_FIRMWARE_DIR`."
    Build 1656 "The firmware did not compile or link."
        "The message ends with what the compiler said; `mote doctor` says which compiler that is."
    Timeout 1657 "The firmware ran longer than the run may take, and was stopped."
        "Give fewer steps, or run it on an idle machine."
    Failed 1658 "The firmware refused its work, or faulted."
        "The message has its last lines. With an unchanged model file, report it."
    Report 1659 "The firmware ended, but its report is not whole."
        "Run it again; where that fails too, report it."
    Io 1660 "A file or a process of the simulation failed."
        "The message says which; free space, or look at permissions."
    ; through
}

codes! { CudaError, GPU:
    Missing 1701 "There is no graphics processor or driver that will do."
        "Install NVIDIA's driver 580 or later, or choose `--backend cpu`."
    Driver 1702 "The graphics processor's driver refused a call."
        "Close other programs that use it, or choose `--backend cpu`."
    Shared 1703 "An operator needs more shared memory than the processor gives a block."
        "Choose `--backend cpu`: the bits are the same."
    Memory 1704 "Not even one sample fits the processor's memory."
        "Close other programs that use it, or choose `--backend cpu`."
    Model 1705 "The model names memory that it does not have."
        "Convert the checkpoint again with this version."
    Operator 1706 "An operator has no kernel for a graphics processor."
        "Choose another backend: the bits are the same."
    Unsupported 1707 "The float network has a part without a kernel for a graphics processor."
        "Choose `--float cpu`."
    Range 1708 "The float network has numbers beyond f16's range."
        "Choose `--float cuda`, which computes in f32."
    Buffer 1709 "A copy from or to memory of the processor that is not there."
        "This is a fault of Mote: report it with the command."
    ; through Run Float
}

codes! { OracleError, ORACLE:
    File 1751 "The oracle finds a part of the model file that is not what the format says."
        "Convert the checkpoint again; where `cpu` takes the file, report it."
    Version 1752 "The file's versions are not those of the oracle."
        "Convert the checkpoint again with this version."
    UnknownOperator 1753 "The file has an operator that the oracle does not have."
        "Choose another backend, and report it."
    Operator 1754 "An operator has a field, a parameter or an input that the format does not allow."
        "Convert the checkpoint again; where `cpu` takes the file, report it."
    Config 1755 "The model cannot run what is asked for."
        "The message names the field; leave that option out."
    Length 1756 "The noise or the image has another number of elements than the model's sample."
        "Give one of the model's shape: `mote inspect` says it."
    ZeroSnr 1757 "The prediction is undefined where nothing but noise is left."
        "Choose `--spacing leading`, which does not visit the last timestep."
    ; through
}
