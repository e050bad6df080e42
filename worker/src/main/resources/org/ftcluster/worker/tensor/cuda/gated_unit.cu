// y = a(gate) up, a(g) = g sigma(z(g)), with z(g) = g, or that of GELU by a tanh; a block a row.

#define GELU_SLOPE 1.5957691216f
#define GELU_CUBE (GELU_SLOPE * 0.044715f)

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }
__device__ inline float argument(float g, int gelu) { return gelu ? g * (g * g * GELU_CUBE + GELU_SLOPE) : g; }
__device__ inline float slope(float g, int gelu) { return gelu ? g * g * (3 * GELU_CUBE) + GELU_SLOPE : 1; }

template <int N>
__device__ void forward(TO* y, const TO* gate, const TO* up, int width, int gelu) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float g[N], u[N];
    read<N>(g, gate + i);
    read<N>(u, up + i);
    for (int k = 0; k < N; k++) g[k] = g[k] * sigmoid(argument(g[k], gelu)) * u[k];
    write<N>(y + i, g);
  }
}

extern "C" __global__ void gated_unit(
    TO* y, long strideY, const TO* gate, long strideGate, const TO* up, long strideUp, int width, int gelu, int wide) {
  y += blockIdx.x * strideY;
  gate += blockIdx.x * strideGate;
  up += blockIdx.x * strideUp;
  wide ? forward<WIDE>(y, gate, up, width, gelu) : forward<1>(y, gate, up, width, gelu);
}

// gate becomes dgate = dy up (sigma + g sigma (1 - sigma) z'), up becomes dup = dy a(g), y the activation.
template <int N>
__device__ void backward(TO* y, TO* gate, TO* up, const TO* dy, int width, int gelu) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float g[N], u[N], d[N], a[N];
    read<N>(g, gate + i);
    read<N>(u, up + i);
    read<N>(d, dy + i);
    for (int k = 0; k < N; k++) {
      float s = sigmoid(argument(g[k], gelu));
      float active = g[k] * s;
      float b = active * slope(g[k], gelu);
      a[k] = active * u[k];
      g[k] = d[k] * u[k] * (s + b - b * s);
      u[k] = d[k] * active;
    }
    write<N>(y + i, a);
    write<N>(gate + i, g);
    write<N>(up + i, u);
  }
}

extern "C" __global__ void gated_unit_backward(
    TO* y, long strideY, TO* gate, long strideGate, TO* up, long strideUp, const TO* dy, long strideDy,
    int width, int gelu, int wide) {
  y += blockIdx.x * strideY;
  gate += blockIdx.x * strideGate;
  up += blockIdx.x * strideUp;
  dy += blockIdx.x * strideDy;
  wide ? backward<WIDE>(y, gate, up, dy, width, gelu) : backward<1>(y, gate, up, dy, width, gelu);
}
