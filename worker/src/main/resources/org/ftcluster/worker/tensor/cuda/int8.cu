// Codes of 8 bits to values: a row's codes are 127ths of its largest magnitude. A thread expands 8 elements.

#define STEP (1.f / 127.f)

extern "C" __global__ void int8_expand(
    TO* out, const signed char* codes, const float* absmax, long columns, long elements) {
  long start = ((long)blockIdx.x * blockDim.x + threadIdx.x) * WIDE;
  if (start >= elements) return;
  long row = start / columns;
  long next = (row + 1) * columns;
  if (start + WIDE <= elements) {
    long word = *(const long*)(codes + start);
    float values[WIDE];
    for (int i = 0; i < WIDE; i++) {
      if (start + i == next) {
        row++;
        next += columns;
      }
      values[i] = (signed char)(word >> 8 * i) * absmax[row] * STEP;
    }
    write<WIDE>(out + start, values);
    return;
  }
  for (long i = start; i < elements; i++) put(out[i], codes[i] * absmax[i / columns] * STEP);
}
