// Causal attention inside each sequence of tokens laid end to end: for float32 and capped scores, which
// libtorch's flash kernels don't take, and for tokens whose sequence lies in a cache. Token t attends to tokens from
// max(firsts[t], t - window + 1) to t, where sequence [firsts[t], ends[t]) is t's own. q, the outputs and their
// gradients are [T, heads * size], k, v and theirs [T, heads / group * size], all contiguous; size <= THREADS.
// The statistics are the logarithms of the softmax's denominators, [heads, T].

__device__ inline float dot(const TO* a, const TO* b, int size) {
  float sum = 0;
  for (int i = 0; i < size; i++) sum += get(a[i]) * get(b[i]);
  return sum;
}

// A score from its product, capped where there is a cap, which is 0 for none.
__device__ inline float capped(float score, float cap) { return cap > 0 ? cap * tanhf(score / cap) : score; }

// How much it grows with what it is capped of.
__device__ inline float slope(float score, float cap) { return cap > 0 ? 1 - score / cap * (score / cap) : 1; }

__device__ inline int first_key(const int* firsts, int t, int window) {
  int first = firsts[t];
  return t - window + 1 > first ? t - window + 1 : first;
}

// One query's attention to keys first to last, by a block. Returns the logarithm of the softmax's denominator.
__device__ inline float attend(
    TO* out, const TO* query, const TO* k, const TO* v, int first, int last, long keyWidth, int size, float scale,
    float cap) {
  __shared__ float weights[THREADS];
  int c = threadIdx.x;
  float max = -INFINITE, sum = 0, output = 0;
  for (int from = first; from <= last; from += blockDim.x) {
    int key = from + threadIdx.x;
    float score = key <= last ? capped(scale * dot(query, k + key * keyWidth, size), cap) : -INFINITE;
    float larger = fmaxf(max, block_max(score));
    float weight = expf(score - larger);
    weights[threadIdx.x] = weight;
    float shrink = expf(max - larger);
    sum = sum * shrink + block_sum(weight);
    output *= shrink;
    max = larger;
    if (c < size) {
      for (int i = 0; i < (int)blockDim.x && from + i <= last; i++) {
        output += weights[i] * get(v[(from + i) * keyWidth + c]);
      }
    }
    __syncthreads();
  }
  if (c < size) put(out[c], output / sum);
  return max + logf(sum);
}

// A block a token and head.
extern "C" __global__ void attention(
    TO* out, float* statistics, const TO* q, const TO* k, const TO* v, const int* firsts, int tokens, int heads,
    int group, int size, int window, float scale, float cap) {
  int t = blockIdx.x / heads, h = blockIdx.x % heads, keyHead = h / group * size;
  long width = (long)heads * size, place = t * width + h * size;
  int first = first_key(firsts, t, window);
  float statistic = attend(out + place, q + place, k + keyHead, v + keyHead, first, t, width / group, size, scale, cap);
  if (threadIdx.x == 0) statistics[(long)h * tokens + t] = statistic;
}

// The newest token b of each of many sequences, to keys [firsts[b], lasts[b]] of a cache; a block a token and head.
extern "C" __global__ void attention_cached(
    TO* out, const TO* q, const TO* k, const TO* v, const int* firsts, const int* lasts, int heads, int group, int size,
    float scale, float cap) {
  int b = blockIdx.x / heads, h = blockIdx.x % heads, keyHead = h / group * size;
  long width = (long)heads * size, place = b * width + h * size;
  attend(
      out + place, q + place, k + keyHead, v + keyHead, firsts[b], lasts[b], width / group, size, scale, cap);
}

// deltas[h, t], the dot product of output and its gradient; a thread each.
extern "C" __global__ void attention_deltas(
    float* deltas, const TO* out, const TO* dOut, int tokens, int heads, int size) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (long)tokens * heads) return;
  deltas[i % heads * tokens + i / heads] = dot(out + i * size, dOut + i * size, size);
}

// A block a token and head.
extern "C" __global__ void attention_query_gradient(
    TO* dq, const TO* dOut, const TO* q, const TO* k, const TO* v, const float* statistics, const float* deltas,
    const int* firsts, int tokens, int heads, int group, int size, int window, float scale, float cap) {
  __shared__ float gradients[THREADS];
  int t = blockIdx.x / heads, h = blockIdx.x % heads, c = threadIdx.x;
  long width = (long)heads * size, keyWidth = width / group, place = t * width + h * size;
  k += h / group * size;
  v += h / group * size;
  float statistic = statistics[(long)h * tokens + t], delta = deltas[(long)h * tokens + t], sum = 0;
  for (int from = first_key(firsts, t, window); from <= t; from += blockDim.x) {
    int key = from + threadIdx.x;
    if (key <= t) {
      float score = capped(scale * dot(q + place, k + key * keyWidth, size), cap);
      float p = expf(score - statistic);
      gradients[threadIdx.x] =
          p * (dot(dOut + place, v + key * keyWidth, size) - delta) * slope(score, cap) * scale;
    }
    __syncthreads();
    if (c < size) {
      for (int i = 0; i < (int)blockDim.x && from + i <= t; i++) {
        sum += gradients[i] * get(k[(from + i) * keyWidth + c]);
      }
    }
    __syncthreads();
  }
  if (c < size) put(dq[place + c], sum);
}

// A block a token and key/value head.
extern "C" __global__ void attention_key_gradient(
    TO* dk, TO* dv, const TO* dOut, const TO* q, const TO* k, const TO* v, const float* statistics,
    const float* deltas, const int* ends, int tokens, int heads, int group, int size, int window, float scale, float cap) {
  __shared__ float weights[THREADS];
  __shared__ float gradients[THREADS];
  int keyHeads = heads / group, u = blockIdx.x / keyHeads, keyHead = blockIdx.x % keyHeads, c = threadIdx.x;
  long width = (long)heads * size, place = u * (width / group) + keyHead * size;
  int end = (long)u + window < ends[u] ? u + window : ends[u];
  float keySum = 0, valueSum = 0;
  for (int h = keyHead * group; h < (keyHead + 1) * group; h++) {
    for (int from = u; from < end; from += blockDim.x) {
      int t = from + threadIdx.x;
      if (t < end) {
        long row = t * width + h * size, statistic = (long)h * tokens + t;
        float score = capped(scale * dot(q + row, k + place, size), cap);
        float p = expf(score - statistics[statistic]);
        weights[threadIdx.x] = p;
        gradients[threadIdx.x] =
            p * (dot(dOut + row, v + place, size) - deltas[statistic]) * slope(score, cap) * scale;
      }
      __syncthreads();
      if (c < size) {
        for (int i = 0; i < (int)blockDim.x && from + i < end; i++) {
          long row = (from + i) * width + h * size + c;
          valueSum += weights[i] * get(dOut[row]);
          keySum += gradients[i] * get(q[row]);
        }
      }
      __syncthreads();
    }
  }
  if (c < size) {
    put(dk[place + c], keySum);
    put(dv[place + c], valueSum);
  }
}
