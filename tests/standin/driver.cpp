// A driver library (libcuda) whose GPU is the stand-in: what the host asks of a driver, in which order, is held to the driver's rules.
//
// Work of a stream is done when somebody waits for it, and not before. While a stream is recorded it takes launches alone. A kernel must
// be in the PTX that was loaded, and gets no more dynamic shared memory than was allowed. Memory that was freed is overwritten.
#include "standin.cpp"

#include <functional>
#include <map>
#include <memory>
#include <set>

#define DRIVER extern "C" int

namespace {

enum { SUCCESS = 0, INVALID = 1, NO_MEMORY = 2, NOT_FOUND = 500, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900 };

const u32 PROCESSORS = 2, SHARED = 227 << 10, SHARED_AT_FIRST = 48 << 10;

struct Function {
    std::string name;
    u32 shared = SHARED_AT_FIRST;
};

struct Module {
    std::string ptx;
};

using Work = std::function<int()>;

struct Stream {
    std::vector<Work> queue;
    std::vector<Work> recorded;
    bool recording = false;
};

struct Graph {
    std::vector<Work> launches;
};

std::map<u64, size_t> buffers;
std::set<const Graph *> graphs;
bool begun;

bool in_buffer(u64 address, size_t len) {
    auto after = buffers.upper_bound(address);
    if (after == buffers.begin()) return false;
    auto buffer = std::prev(after);
    return address + len <= buffer->first + buffer->second;
}

int finish_work(Stream &stream) {
    std::vector<Work> queue;
    queue.swap(stream.queue);
    for (const Work &work : queue) {
        if (int failed = work()) return failed;
    }
    return SUCCESS;
}

int enqueue(Stream *stream, Work work, bool launch) {
    if (stream->recording && !launch) return CAPTURE_UNSUPPORTED;
    (stream->recording ? stream->recorded : stream->queue).push_back(std::move(work));
    return SUCCESS;
}

int release(u64 address) {
    auto found = buffers.find(address);
    if (found == buffers.end()) return INVALID;
    memset((void *)address, 0xDD, found->second);
    // Never given back to the system: a late reader finds the pattern.
    buffers.erase(found);
    return SUCCESS;
}

} // namespace

DRIVER cuInit(unsigned) {
    begun = true;
    return SUCCESS;
}

DRIVER cuDriverGetVersion(int *version) {
    *version = 13000;
    return SUCCESS;
}

DRIVER cuDeviceGetCount(int *count) {
    *count = 1;
    return begun ? SUCCESS : 3;
}

DRIVER cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : 101;
}

DRIVER cuDeviceGetName(char *name, int len, int) {
    strncpy(name, "stand-in behind a driver", (size_t)len);
    return SUCCESS;
}

DRIVER cuDeviceGetAttribute(int *value, int attribute, int) {
    static const std::map<int, int> known = {
        {16, PROCESSORS}, {75, 8}, {76, 0}, {97, SHARED}, {115, 1},
    };
    auto found = known.find(attribute);
    if (found == known.end()) return INVALID;
    *value = found->second;
    return SUCCESS;
}

DRIVER cuDevicePrimaryCtxRetain(void **context, int) {
    *context = &buffers;
    return SUCCESS;
}

DRIVER cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
DRIVER cuCtxSetCurrent(void *) { return SUCCESS; }
DRIVER cuCtxGetCurrent(void **context) {
    *context = &buffers;
    return SUCCESS;
}

DRIVER cuMemGetInfo_v2(size_t *free, size_t *total) {
    *free = *total = (size_t)1 << 30;
    return SUCCESS;
}

DRIVER cuStreamCreate(Stream **stream, unsigned) {
    *stream = new Stream;
    return SUCCESS;
}

DRIVER cuStreamDestroy_v2(Stream *stream) {
    int failed = finish_work(*stream);
    delete stream;
    return failed;
}

DRIVER cuStreamSynchronize(Stream *stream) { return stream->recording ? CAPTURE_UNSUPPORTED : finish_work(*stream); }

DRIVER cuMemAllocAsync(u64 *address, size_t len, Stream *stream) {
    if (stream->recording) return CAPTURE_UNSUPPORTED;
    if (len == 0) return INVALID;
    // Of exactly that size, so that a sanitizer sees what goes past it.
    void *memory = nullptr;
    if (posix_memalign(&memory, 256, len) != 0) return NO_MEMORY;
    memset(memory, 0xA5, len);
    *address = (u64)memory;
    buffers[*address] = len;
    return SUCCESS;
}

DRIVER cuMemFreeAsync(u64 address, Stream *stream) {
    return enqueue(stream, [address] { return release(address); }, false);
}

DRIVER cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t len, Stream *stream) {
    // Pageable memory is staged: its contents are taken now.
    std::string bytes((const char *)from, len);
    return enqueue(stream, [to, bytes] {
        if (!in_buffer(to, bytes.size())) return (int)INVALID;
        memcpy((void *)to, bytes.data(), bytes.size());
        return (int)SUCCESS;
    }, false);
}

DRIVER cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t len, Stream *stream) {
    return enqueue(stream, [to, from, len] {
        if (!in_buffer(from, len)) return (int)INVALID;
        memcpy(to, (const void *)from, len);
        return (int)SUCCESS;
    }, false);
}

DRIVER cuModuleLoadData(Module **module, const void *image) {
    *module = new Module{(const char *)image};
    bool known = (*module)->ptx.find("\n.version 8.4\n.target sm_80\n") != std::string::npos;
    return known ? SUCCESS : 218;
}

DRIVER cuModuleUnload(Module *module) {
    delete module;
    return SUCCESS;
}

DRIVER cuModuleGetFunction(Function **function, Module *module, const char *name) {
    // Of three words, as every launch gives them.
    std::string entry = std::string(".visible .entry ") + name + "(";
    size_t at = module->ptx.find(entry);
    if (at == std::string::npos) return NOT_FOUND;
    std::string parameters = module->ptx.substr(at, module->ptx.find(')', at) - at);
    size_t count = 0;
    for (size_t i = parameters.find(".param .u64"); i != std::string::npos; i = parameters.find(".param .u64", i + 1)) count++;
    if (count != 3) return INVALID;
    *function = new Function{name};
    return SUCCESS;
}

DRIVER cuFuncSetAttribute(Function *function, int attribute, int value) {
    if (attribute != 8 || value < 0 || (u32)value > SHARED) return INVALID;
    function->shared = (u32)value;
    return SUCCESS;
}

DRIVER cuLaunchKernel(Function *function, u32 x, u32 y, u32 z, u32 threads, u32 threads_y, u32 threads_z, u32 shared, Stream *stream,
                      void **parameters, void **extra) {
    if (x == 0 || y != 1 || z != 1 || threads_y != 1 || threads_z != 1 || extra || shared > function->shared) return INVALID;
    u64 given[3];
    for (int i = 0; i < 3; i++) given[i] = *(const u64 *)parameters[i];
    return enqueue(stream, [=, name = function->name] {
        if (!in_buffer(given[0], 1)) return (int)LAUNCH_FAILED;
        return standin_launch(name.c_str(), x, threads, shared, given, 2) ? (int)LAUNCH_FAILED : (int)SUCCESS;
    }, true);
}

DRIVER cuStreamBeginCapture_v2(Stream *stream, int) {
    if (stream->recording) return CAPTURE_UNSUPPORTED;
    stream->recording = true;
    return SUCCESS;
}

DRIVER cuStreamEndCapture(Stream *stream, Graph **graph) {
    if (!stream->recording) return CAPTURE_UNSUPPORTED;
    stream->recording = false;
    *graph = new Graph{std::move(stream->recorded)};
    graphs.insert(*graph);
    stream->recorded.clear();
    return SUCCESS;
}

DRIVER cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, u64) {
    if (!graphs.count(graph)) return INVALID;
    *executable = new Graph(*graph);
    graphs.insert(*executable);
    return SUCCESS;
}

DRIVER cuGraphUpload(Graph *executable, Stream *) { return graphs.count(executable) ? SUCCESS : INVALID; }

DRIVER cuGraphLaunch(Graph *executable, Stream *stream) {
    if (!graphs.count(executable)) return INVALID;
    for (const Work &launch : executable->launches) {
        if (int failed = enqueue(stream, launch, false)) return failed;
    }
    return SUCCESS;
}

DRIVER cuGraphDestroy(Graph *graph) {
    graphs.erase(graph);
    delete graph;
    return SUCCESS;
}

DRIVER cuGraphExecDestroy(Graph *graph) { return cuGraphDestroy(graph); }

DRIVER cuGetErrorName(int, const char **text) {
    *text = "an error of the stand-in's driver";
    return SUCCESS;
}

DRIVER cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }
