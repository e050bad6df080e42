package org.ftcluster.worker.model;

import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.quantization.DenseWeight;
import org.ftcluster.worker.quantization.Int8Weight;
import org.ftcluster.worker.quantization.Nf4Weight;
import org.ftcluster.worker.quantization.PackedWeight;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Takes tensors out of a model folder: as they are where their type fits, converted or quantized
 * where not.
 */
final class WeightReader {
  private final BaseTensors source;
  private final Scope scope;
  private final DType computeType;

  /**
   * @param scope where converted tensors stay; it must not outlive {@code source}
   */
  WeightReader(BaseTensors source, Scope scope, DType computeType) {
    this.source = source;
    this.scope = scope;
    this.computeType = computeType;
  }

  /** The same with another scope where converted tensors stay. */
  WeightReader into(Scope other) {
    return new WeightReader(source, other, computeType);
  }

  /** Pieces of a linear layer's weight [outputs, inputs], each held as the job says. */
  List<Weight> linears(
      String name,
      long outputs,
      long inputs,
      JobSpec.Quantization quantization,
      List<Piece> pieces) {
    return switch (quantization.type()) {
      case NONE ->
          pieces.stream()
              .<Weight>map(piece -> new DenseWeight(matrix(name, outputs, inputs, piece)))
              .toList();
      case NF4, INT8 -> {
        try (Scope temporary = Scope.persistent()) {
          Tensor matrix = source.get(temporary, name, outputs, inputs);
          Tensor readable =
              matrix.dtype() == DType.FLOAT16
                  ? converted(temporary, matrix, DType.FLOAT32)
                  : matrix;
          List<Weight> packed = quantized(temporary, readable, quantization, pieces);
          dropPages(matrix);
          yield packed;
        }
      }
    };
  }

  /** The values that the pieces have in the whole, whose scales depend on all of it. */
  private List<Weight> quantized(
      Scope temporary, Tensor matrix, JobSpec.Quantization quantization, List<Piece> pieces) {
    if (scope.isOnDevice()) {
      return into(temporary).quantized(temporary, matrix, quantization, pieces).stream()
          .map(piece -> piece.onDevice(scope))
          .toList();
    }
    if (pieces.equals(List.of(Piece.whole((int) matrix.size(0), (int) matrix.size(1))))) {
      return List.of(packed(scope, matrix, quantization));
    }
    PackedWeight whole = packed(temporary, matrix, quantization);
    return pieces.stream().<Weight>map(piece -> slice(whole, piece)).toList();
  }

  private PackedWeight slice(PackedWeight whole, Piece piece) {
    return whole.slice(
        scope,
        piece.rows().from(),
        piece.rows().to(),
        piece.columns().from(),
        piece.columns().to());
  }

  private PackedWeight packed(Scope to, Tensor matrix, JobSpec.Quantization quantization) {
    return switch (quantization.type()) {
      case NF4 -> Nf4Weight.quantize(to, matrix, computeType, quantization.doubleQuant());
      case INT8 -> Int8Weight.quantize(to, matrix, computeType);
      case NONE -> throw new IllegalArgumentException("nothing is to be quantized");
    };
  }

  /** A piece of a matrix in the type that products are computed in. */
  Tensor matrix(String name, long rows, long columns, Piece piece) {
    if (scope.isOnDevice()) {
      return toDevice(reader -> reader.matrix(name, rows, columns, piece));
    }
    Tensor mapped = piece.of(mapped(name, rows, columns));
    return mapped.dtype() == computeType && mapped.isContiguous()
        ? mapped
        : converted(scope, mapped, computeType);
  }

  /**
   * A piece of a matrix of which rows are only read: as it is on disk, unless no kernel reads its
   * type.
   */
  Tensor table(String name, long rows, long columns, Piece piece) {
    if (scope.isOnDevice()) {
      return toDevice(reader -> reader.table(name, rows, columns, piece));
    }
    Tensor mapped = piece.of(mapped(name, rows, columns));
    return mapped.dtype() == DType.FLOAT16 ? converted(scope, mapped, computeType) : mapped;
  }

  /** A norm's weight or a bias, as float32. */
  Tensor vector(String name, long size) {
    if (scope.isOnDevice()) {
      return toDevice(reader -> reader.vector(name, size));
    }
    Tensor mapped = mapped(name, size);
    return mapped.dtype() == DType.FLOAT32 ? mapped : converted(scope, mapped, DType.FLOAT32);
  }

  /** What is read on the host first, where the scope is an accelerator's. */
  private Tensor toDevice(Function<WeightReader, Tensor> read) {
    try (Scope host = Scope.persistent()) {
      Tensor tensor = read.apply(into(host));
      Tensor copy = scope.copyOf(tensor);
      dropPages(tensor);
      return copy;
    }
  }

  /** Of tensors that are trained, as float32; goes with the source. */
  FloatSource values(List<ParameterBuffer.Slice> tensors) {
    return new BaseValues(source, tensors);
  }

  private static Tensor converted(Scope scope, Tensor from, DType type) {
    Tensor to = scope.empty(type, from.shape());
    Aten.copy(to, from);
    dropPages(from);
    return to;
  }

  /** What was read for the last time needn't stay in memory. */
  private static void dropPages(Tensor mapped) {
    if (mapped.memory().isMapped()) {
      mapped.memory().unload();
    }
  }

  private Tensor mapped(String name, long... shape) {
    return source.get(scope, name, shape);
  }
}
