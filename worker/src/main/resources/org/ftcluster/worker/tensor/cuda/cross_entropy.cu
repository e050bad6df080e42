// Cross-entropy of rows of logits, logsumexp(z) - z[target], and its gradient in place; a block a row.
// A negative target carries no loss.

template <int N>
__device__ float largest(const TO* row, int width) {
  float best = -INFINITE;
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float z[N];
    read<N>(z, row + i);
    for (int k = 0; k < N; k++) best = fmaxf(best, z[k]);
  }
  return block_max(best);
}

template <int N>
__device__ float exponentials(const TO* row, int width, float max) {
  float sum = 0;
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float z[N];
    read<N>(z, row + i);
    for (int k = 0; k < N; k++) sum += expf(z[k] - max);
  }
  return block_sum(sum);
}

// Of scale times the loss; place is the target's in this row, or outside of it.
template <int N>
__device__ void differentiate(TO* row, int width, long place, float max, float factor, float scale) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float z[N];
    read<N>(z, row + i);
    for (int k = 0; k < N; k++) {
      z[k] = expf(z[k] - max) * factor;
      if (i + k == place) z[k] -= scale;
    }
    write<N>(row + i, z);
  }
}

__device__ inline void clear(TO* row, int width) {
  for (int i = threadIdx.x; i < width; i += blockDim.x) put(row[i], 0);
}

template <int N>
__device__ void row_loss(TO* row, int target, float* loss, int width, double scale, int differentiates) {
  float hit = get(row[target]);
  float max = largest<N>(row, width);
  float sum = exponentials<N>(row, width, max);
  if (threadIdx.x == 0) *loss = (float)(log((double)sum) + max - hit);
  if (differentiates) differentiate<N>(row, width, target, max, (float)(scale / sum), (float)scale);
}

extern "C" __global__ void cross_entropy(
    TO* logits, long stride, const int* targets, float* losses, int width, double scale, int differentiates,
    int wide) {
  TO* row = logits + blockIdx.x * stride;
  float* loss = losses + blockIdx.x;
  int target = targets[blockIdx.x];
  if (target < 0) {
    if (threadIdx.x == 0) *loss = 0;
    if (differentiates) clear(row, width);
  } else if (wide) {
    row_loss<WIDE>(row, target, loss, width, scale, differentiates);
  } else {
    row_loss<1>(row, target, loss, width, scale, differentiates);
  }
}

// Of a slice of the vocabulary, from its first token on: a row's largest logit, the sum of exponentials less that,
// and the target's logit where the slice has it, else 0.
template <int N>
__device__ void row_statistics(const TO* row, long place, float* numbers, int width) {
  float max = largest<N>(row, width);
  float sum = exponentials<N>(row, width, max);
  if (threadIdx.x == 0) {
    numbers[0] = max;
    numbers[1] = sum;
    numbers[2] = place >= 0 && place < width ? get(row[place]) : 0;
  }
}

extern "C" __global__ void slice_statistics(
    const TO* logits, long stride, const int* targets, int first, float* numbers, int width, int wide) {
  const TO* row = logits + blockIdx.x * stride;
  float* own = numbers + 3 * (long)blockIdx.x;
  int target = targets[blockIdx.x];
  if (target < 0) {
    if (threadIdx.x < 3) own[threadIdx.x] = 0;
  } else if (wide) {
    row_statistics<WIDE>(row, (long)target - first, own, width);
  } else {
    row_statistics<1>(row, (long)target - first, own, width);
  }
}

// max and factor are the whole vocabulary's.
extern "C" __global__ void slice_gradient(
    TO* logits, long stride, const int* targets, int first, const float* max, const float* factor, double scale,
    int width, int wide) {
  TO* row = logits + blockIdx.x * stride;
  int target = targets[blockIdx.x];
  if (target < 0) {
    clear(row, width);
  } else if (wide) {
    differentiate<WIDE>(row, width, (long)target - first, max[blockIdx.x], factor[blockIdx.x], (float)scale);
  } else {
    differentiate<1>(row, width, (long)target - first, max[blockIdx.x], factor[blockIdx.x], (float)scale);
  }
}
