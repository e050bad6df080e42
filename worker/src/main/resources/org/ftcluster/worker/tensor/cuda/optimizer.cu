// What a step does with its gradients, in the very arithmetic of the CPU's: every kernel here leaves the
// same bits. A thread an element unless it says otherwise.

// AdamW; all arrays float32.
extern "C" __global__ void adamw(
    float* parameters, const float* gradients, float* firstMoment, float* secondMoment, long size, float decay,
    float negativeStepSize, float rootCorrection, float gradientScale, float gain1, float keep2, float gain2,
    float epsilon) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  float g = gradients[i] * gradientScale;
  float m = firstMoment[i];
  m = m + (g - m) * gain1;
  float v = secondMoment[i] * keep2 + g * gain2 * g;
  float root = sqrtf(v) / rootCorrection + epsilon;
  firstMoment[i] = m;
  secondMoment[i] = v;
  parameters[i] = parameters[i] * decay + m * negativeStepSize / root;
}

// sums[b] are the squares of the b-th 4096 gradients: eight threads, each adding up every eighth of
// them in float64, then the eight sums in pairs.
extern "C" __global__ void squared_blocks(double* sums, const float* gradients, long size) {
  __shared__ double lanes[THREADS];
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  long first = i / 8 * 4096;
  long end = first + 4096 < size ? first + 4096 : size;
  long whole = first + (end - first) / 8 * 8;
  double sum = 0;
  for (long at = first + i % 8; at < whole; at += 8) {
    double value = gradients[at];
    sum += value * value;
  }
  if (i % 8 == 0) {
    for (long at = whole; at < end; at++) {
      double value = gradients[at];
      sum += value * value;
    }
  }
  lanes[threadIdx.x] = sum;
  __syncthreads();
  if (i % 8 == 0 && first < size) {
    double* s = lanes + threadIdx.x;
    sums[i / 8] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  }
}

// A gradient as a multiple of 2^-44; unusable is set where it is NaN or beyond the limit.
__device__ inline long fixed(float gradient, double limit, int* unusable) {
  if (fabsf(gradient) <= limit) return (long)rint(gradient * 0x1p44);
  *unusable = 1;
  return 0;
}

// sums += gradients
extern "C" __global__ void fixed_add(
    long* sums, const float* gradients, long size, double limit, int* unusable) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) sums[i] += fixed(gradients[i], limit, unusable);
}

// terms = gradients
extern "C" __global__ void fixed_put(
    long* terms, const float* gradients, long size, double limit, int* unusable) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) terms[i] = fixed(gradients[i], limit, unusable);
}

// sums += terms
extern "C" __global__ void fixed_add_terms(long* sums, const long* terms, long size) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) sums[i] += terms[i];
}

// terms = gradients; unusable is set where one is no finite number, whatever rounding makes of it.
extern "C" __global__ void float_put(TO* terms, const float* gradients, long size, int* unusable) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  float gradient = gradients[i];
  if (!(fabsf(gradient) < INFINITE)) *unusable = 1;
  put(terms[i], gradient);
}

// sums += terms
extern "C" __global__ void float_add(float* sums, const FROM* terms, long size) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) sums[i] += get(terms[i]);
}

// to = from
extern "C" __global__ void convert(TO* to, const FROM* from, long size) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) put(to[i], get(from[i]));
}

// values = sums as floats
extern "C" __global__ void fixed_to_floats(float* values, const long* sums, long size) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) values[i] = (float)(sums[i] * 0x1p-44);
}
