// NCCL and the CUDA runtime as far as they are used, over the host's memory: ranks are threads of one process,
// and each stream has a thread that does what it was given in order. As in the real ones, calls return at once,
// a message waits for its peer and holds up what is behind it, and an operation ends only when all ranks have it.
#include <stdint.h>
#include <string.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

// Never destroyed: threads of streams may wait for them when the process ends.
std::mutex& mutex = *new std::mutex();  // of everything
std::condition_variable& changed = *new std::condition_variable();

struct Event {
  bool happened = true;
};

struct Stream {
  std::deque<std::function<void(std::unique_lock<std::mutex>&)>> tasks;
  bool closed = false;
};

typedef std::function<void(std::unique_lock<std::mutex>&)> Task;

void run(std::shared_ptr<Stream> stream) {
  std::unique_lock<std::mutex> lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return stream->closed || !stream->tasks.empty(); });
    if (stream->tasks.empty()) return;
    Task task = stream->tasks.front();
    task(lock);
    stream->tasks.pop_front();
    changed.notify_all();
  }
}

struct StreamHandle {
  std::shared_ptr<Stream> stream = std::make_shared<Stream>();
};
struct EventHandle {
  std::shared_ptr<Event> event = std::make_shared<Event>();
};

// A stream of nobody's does everything at once.
void give(void* stream, Task task) {
  std::unique_lock<std::mutex> lock(mutex);
  if (stream == nullptr) {
    task(lock);
  } else {
    ((StreamHandle*)stream)->stream->tasks.push_back(task);
  }
  changed.notify_all();
}

const int SUCCESS = 0, INVALID_USAGE = 5, REMOTE_ERROR = 6, IN_PROGRESS = 7;

struct Call {
  int kind, type, op, root;
  size_t count;
  const void* input;
  void* output;
  const void* comm = nullptr;
};

enum Kind { ALL_REDUCE, REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, SEND, RECV };

struct Meeting {
  std::map<int, Call> calls;  // by rank
  bool done = false;
  int left = 0;
};

// The ranks that met under an id.
struct World {
  int size = 0;
  int members = 0;
  std::map<std::string, Meeting> meetings;
};

struct Comm {
  std::shared_ptr<World> world;
  int rank;
  int state = SUCCESS;
  bool aborted = false;
  uint64_t collectives = 0;
  std::map<int, uint64_t> sent, received;
};

struct CommHandle {
  std::shared_ptr<Comm> comm;
};

std::map<std::string, std::shared_ptr<World>>& worlds = *new std::map<std::string, std::shared_ptr<World>>();

size_t bytes_of(int type) {
  switch (type) {
    case 0: return 1;
    case 9: return 2;
    case 7: return 4;
    default: return 8;
  }
}

template <typename T>
void reduce(T* to, const T* from, size_t count, int op) {
  for (size_t i = 0; i < count; i++) to[i] = op == 0 ? (T)(to[i] + from[i]) : to[i] > from[i] ? to[i] : from[i];
}

float wide(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

uint16_t narrow(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

void reduce(char* to, const char* from, size_t count, int type, int op) {
  switch (type) {
    case 4: return reduce((int64_t*)to, (const int64_t*)from, count, op);
    case 7: return reduce((float*)to, (const float*)from, count, op);
    case 8: return reduce((double*)to, (const double*)from, count, op);
    case 9:
      for (size_t i = 0; i < count; i++) {
        float a = wide(((uint16_t*)to)[i]), b = wide(((const uint16_t*)from)[i]);
        ((uint16_t*)to)[i] = narrow(op == 0 ? a + b : a > b ? a : b);
      }
  }
}

bool agree(const Meeting& meeting) {
  const Call& first = meeting.calls.begin()->second;
  for (auto& entry : meeting.calls) {
    const Call& call = entry.second;
    bool message = (first.kind == SEND || first.kind == RECV) && (call.kind == SEND || call.kind == RECV);
    if (call.count != first.count || call.type != first.type) return false;
    if (!message && (call.kind != first.kind || call.op != first.op || call.root != first.root)) return false;
  }
  return true;
}

void perform(Meeting& meeting) {
  Call& first = meeting.calls.begin()->second;
  size_t bytes = first.count * bytes_of(first.type), ranks = meeting.calls.size();
  if (first.kind == SEND || first.kind == RECV) {
    const void* from = nullptr;
    void* to = nullptr;
    for (auto& entry : meeting.calls) (entry.second.kind == SEND ? from = entry.second.input : to = entry.second.output);
    memcpy(to, from, bytes);
    return;
  }
  size_t all = first.kind == REDUCE_SCATTER ? bytes * ranks : bytes;
  std::vector<char> result(first.kind == ALL_GATHER ? bytes * ranks : all);
  size_t place = 0;
  for (auto& entry : meeting.calls) {
    const char* input = (const char*)entry.second.input;
    if (first.kind == ALL_GATHER) {
      memcpy(result.data() + place * bytes, input, bytes);
    } else if (first.kind == BROADCAST) {
      if (entry.first == first.root) memcpy(result.data(), input, bytes);
    } else if (place == 0) {
      memcpy(result.data(), input, all);
    } else {
      reduce(result.data(), input, all / bytes_of(first.type), first.type, first.op);
    }
    place++;
  }
  place = 0;
  for (auto& entry : meeting.calls) {
    char* from = result.data() + (first.kind == REDUCE_SCATTER ? place * bytes : 0);
    if (first.kind != REDUCE || entry.first == first.root) {
      memcpy(entry.second.output, from, first.kind == REDUCE_SCATTER ? bytes : result.size());
    }
    place++;
  }
}

// On a stream's thread: waits for the other ranks, or for the end.
void meet(std::shared_ptr<Comm> comm, std::string key, int place, size_t expected, Call call,
          std::unique_lock<std::mutex>& lock) {
  Meeting& meeting = comm->world->meetings[key];
  meeting.calls[place] = call;
  if (meeting.calls.size() == expected) {
    if (agree(meeting)) {
      perform(meeting);
    } else {
      comm->state = INVALID_USAGE;
    }
    meeting.done = true;
    changed.notify_all();
  }
  changed.wait(lock, [&] { return meeting.done || comm->aborted; });
}

int submit(void* handle, void* stream, std::string key, int place, size_t expected, Call call) {
  std::shared_ptr<Comm> comm = ((CommHandle*)handle)->comm;
  call.comm = comm.get();
  give(stream, [=](std::unique_lock<std::mutex>& lock) {
    if (!comm->aborted) meet(comm, key, place, expected, call, lock);
  });
  return SUCCESS;
}

int collective(void* handle, void* stream, Call call) {
  std::string key;
  std::shared_ptr<Comm> comm = ((CommHandle*)handle)->comm;
  {
    std::unique_lock<std::mutex> lock(mutex);
    if (comm->world->members < comm->world->size) return INVALID_USAGE;
    key = std::to_string(comm->collectives++);
  }
  return submit(handle, stream, key, comm->rank, comm->world->size, call);
}

}  // namespace

extern "C" {

int cudaSetDevice(int) { return 0; }

int cudaStreamCreateWithFlags(void** out, unsigned) {
  StreamHandle* handle = new StreamHandle();
  std::thread(run, handle->stream).detach();
  *out = handle;
  return 0;
}

int cudaStreamDestroy(void* stream) {
  StreamHandle* handle = (StreamHandle*)stream;
  {
    std::unique_lock<std::mutex> lock(mutex);
    handle->stream->closed = true;
    changed.notify_all();
  }
  delete handle;
  return 0;
}

int cudaEventCreateWithFlags(void** out, unsigned) {
  *out = new EventHandle();
  return 0;
}

int cudaEventRecord(void* handle, void* stream) {
  std::shared_ptr<Event> event = ((EventHandle*)handle)->event;
  event->happened = false;
  give(stream, [=](std::unique_lock<std::mutex>&) { event->happened = true; });
  return 0;
}

int cudaEventQuery(void* handle) {
  std::unique_lock<std::mutex> lock(mutex);
  return ((EventHandle*)handle)->event->happened ? 0 : 600;
}

int cudaStreamWaitEvent(void* stream, void* handle, unsigned) {
  std::shared_ptr<Event> event = ((EventHandle*)handle)->event;
  give(stream, [=](std::unique_lock<std::mutex>& lock) { changed.wait(lock, [&] { return event->happened; }); });
  return 0;
}

int cudaEventDestroy(void* handle) {
  delete (EventHandle*)handle;
  return 0;
}

const char* cudaGetErrorString(int) { return "simulated"; }

int ncclGetVersion(int* version) {
  *version = 22602;
  return SUCCESS;
}

const char* ncclGetErrorString(int result) { return result == INVALID_USAGE ? "invalid usage" : "simulated"; }

const char* ncclGetLastError(void*) { return ""; }

int ncclGetUniqueId(char* id) {
  static std::atomic<uint64_t> next(1);
  memset(id, 0, 128);
  uint64_t number = next++;
  memcpy(id, &number, sizeof number);
  return SUCCESS;
}

struct UniqueId {
  char bytes[128];
};

int ncclCommInitRankConfig(void** out, int size, UniqueId id, int rank, void*) {
  std::unique_lock<std::mutex> lock(mutex);
  std::shared_ptr<World>& world = worlds[std::string(id.bytes, sizeof id.bytes)];
  if (!world) world = std::make_shared<World>();
  world->size = size;
  world->members++;
  CommHandle* handle = new CommHandle();
  handle->comm = std::make_shared<Comm>();
  handle->comm->world = world;
  handle->comm->rank = rank;
  *out = handle;
  changed.notify_all();
  return IN_PROGRESS;
}

int ncclCommGetAsyncError(void* handle, int* state) {
  std::unique_lock<std::mutex> lock(mutex);
  Comm& comm = *((CommHandle*)handle)->comm;
  *state = comm.state != SUCCESS ? comm.state : comm.world->members < comm.world->size ? IN_PROGRESS : SUCCESS;
  return SUCCESS;
}

int ncclCommAbort(void* handle) {
  {
    std::unique_lock<std::mutex> lock(mutex);
    Comm& comm = *((CommHandle*)handle)->comm;
    comm.aborted = true;
    // From now on nobody reads or writes its buffers.
    for (auto& meeting : comm.world->meetings) {
      if (meeting.second.done) continue;
      std::map<int, Call>& calls = meeting.second.calls;
      for (auto call = calls.begin(); call != calls.end();) {
        call = call->second.comm == &comm ? calls.erase(call) : std::next(call);
      }
    }
    changed.notify_all();
  }
  delete (CommHandle*)handle;
  return SUCCESS;
}

int ncclAllReduce(const void* in, void* out, size_t count, int type, int op, void* comm, void* stream) {
  return collective(comm, stream, {ALL_REDUCE, type, op, 0, count, in, out});
}

int ncclReduce(const void* in, void* out, size_t count, int type, int op, int root, void* comm, void* stream) {
  return collective(comm, stream, {REDUCE, type, op, root, count, in, out});
}

int ncclReduceScatter(const void* in, void* out, size_t count, int type, int op, void* comm, void* stream) {
  return collective(comm, stream, {REDUCE_SCATTER, type, op, 0, count, in, out});
}

int ncclAllGather(const void* in, void* out, size_t count, int type, void* comm, void* stream) {
  return collective(comm, stream, {ALL_GATHER, type, 0, 0, count, in, out});
}

int ncclBroadcast(const void* in, void* out, size_t count, int type, int root, void* comm, void* stream) {
  return collective(comm, stream, {BROADCAST, type, 0, root, count, in, out});
}

int ncclSend(const void* in, size_t count, int type, int peer, void* handle, void* stream) {
  Comm& comm = *((CommHandle*)handle)->comm;
  std::string key = std::to_string(comm.rank) + ">" + std::to_string(peer) + "#" + std::to_string(comm.sent[peer]++);
  return submit(handle, stream, key, 0, 2, {SEND, type, 0, 0, count, in, nullptr});
}

int ncclRecv(void* out, size_t count, int type, int peer, void* handle, void* stream) {
  Comm& comm = *((CommHandle*)handle)->comm;
  std::string key =
      std::to_string(peer) + ">" + std::to_string(comm.rank) + "#" + std::to_string(comm.received[peer]++);
  return submit(handle, stream, key, 1, 2, {RECV, type, 0, 0, count, nullptr, out});
}
}
