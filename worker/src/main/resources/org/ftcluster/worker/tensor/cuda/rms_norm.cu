// y = (w + offset) x r with r = 1 / sqrt(mean(x^2) + eps); a block a row.

template <int N>
__device__ float dot(const TO* x, int width) {
  float sum = 0;
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N];
    read<N>(v, x + i);
    for (int k = 0; k < N; k++) sum += v[k] * v[k];
  }
  return block_sum(sum);
}

__device__ inline float inverse_rms(float squares, int width, double eps) {
  return (float)(1 / sqrt((double)squares / width + eps));
}

template <int N>
__device__ void forward(TO* y, const TO* x, const float* weight, float offset, int width, double eps) {
  float r = inverse_rms(dot<N>(x, width), width, eps);
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N], w[N];
    read<N>(v, x + i);
    read<N>(w, weight + i);
    for (int k = 0; k < N; k++) v[k] = v[k] * r * (w[k] + offset);
    write<N>(y + i, v);
  }
}

// y may be x.
extern "C" __global__ void rms_norm(
    TO* y, long strideY, const TO* x, long strideX, const float* weight, float offset,
    int width, double eps, int wide) {
  y += blockIdx.x * strideY;
  x += blockIdx.x * strideX;
  wide ? forward<WIDE>(y, x, weight, offset, width, eps) : forward<1>(y, x, weight, offset, width, eps);
}

// With g = (w + offset) dy and n = x r: dx += r (g - n mean(g n)).
template <int N>
__device__ void backward(TO* dx, const TO* dy, const TO* x, const float* weight, float offset, int width, double eps) {
  float r = inverse_rms(dot<N>(x, width), width, eps);
  float sum = 0;
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N], g[N], w[N];
    read<N>(v, x + i);
    read<N>(g, dy + i);
    read<N>(w, weight + i);
    for (int k = 0; k < N; k++) sum += g[k] * (w[k] + offset) * v[k];
  }
  float projection = block_sum(sum) * r * r * r / width;
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float v[N], g[N], w[N], d[N];
    read<N>(v, x + i);
    read<N>(g, dy + i);
    read<N>(w, weight + i);
    read<N>(d, dx + i);
    for (int k = 0; k < N; k++) d[k] += r * (g[k] * (w[k] + offset)) - projection * v[k];
    write<N>(dx + i, d);
  }
}

extern "C" __global__ void rms_norm_backward(
    TO* dx, long strideDx, const TO* dy, long strideDy, const TO* x, long strideX, const float* weight,
    float offset, int width, double eps, int wide) {
  dx += blockIdx.x * strideDx;
  dy += blockIdx.x * strideDy;
  x += blockIdx.x * strideX;
  wide ? backward<WIDE>(dx, dy, x, weight, offset, width, eps)
       : backward<1>(dx, dy, x, weight, offset, width, eps);
}

// r of each row.
extern "C" __global__ void rms_norm_inverse(float* r, const TO* x, long strideX, int width, double eps) {
  float squares = dot<1>(x + blockIdx.x * strideX, width);
  if (threadIdx.x == 0) r[blockIdx.x] = inverse_rms(squares, width, eps);
}

// dw, the sum of dy n over the rows in their order; a thread a column.
extern "C" __global__ void rms_norm_weight_gradient(
    float* dw, const TO* dy, long strideDy, const TO* x, long strideX, const float* r, long rows, int width) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= width) return;
  float sum = 0;
  for (long t = 0; t < rows; t++) sum += get(dy[t * strideDy + i]) * get(x[t * strideX + i]) * r[t];
  dw[i] = sum;
}
