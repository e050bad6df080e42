package org.ftcluster.worker.model;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/** The trained parameters by name, as far as a rank's part of the model has them. */
final class TrainedTensors {
  private final Scope scope;
  private final ParameterBuffer buffer;

  /** Null where they are gathered. */
  private final @Nullable ParameterTensors parameters;

  private final DType computeType;
  private final @Nullable GatheredParameters gathered;
  private final Map<String, Integer> places = new HashMap<>();

  /** Those that the part has. */
  private final Map<Part, Parameter> parts = new LinkedHashMap<>();

  /**
   * Of a tensor.
   *
   * @param piece of a matrix, or the {@link Span} of a vector
   */
  private record Part(String name, Record piece) {}

  /**
   * @param scope where copies stay
   * @param computeType what products are computed in; vectors are used in float32
   * @param gathered where ranks share them out, else null
   */
  TrainedTensors(
      Scope scope,
      ParameterBuffer parameters,
      DType computeType,
      @Nullable GatheredParameters gathered) {
    this.gathered = gathered;
    this.scope = scope;
    this.buffer = parameters;
    this.parameters = gathered == null ? new ParameterTensors(scope, parameters) : null;
    this.computeType = computeType;
    for (ParameterBuffer.Slice slice : parameters.slices()) {
      places.put(slice.name(), places.size());
    }
  }

  /** Of all that the job trains. */
  ParameterBuffer buffer() {
    return buffer;
  }

  /** Where it stands among all trained tensors; -1 where the job doesn't train it. */
  int place(String name) {
    return places.getOrDefault(name, -1);
  }

  /** A part of a matrix; null where the job doesn't train it. */
  @Nullable Parameter matrix(String name, Piece piece) {
    return get(new Part(name, piece), piece::of);
  }

  /** A part of a vector; null where the job doesn't train it. */
  @Nullable Parameter vector(String name, Span part) {
    return get(new Part(name, part), vector -> vector.slice(0, part.from(), part.to()));
  }

  private @Nullable Parameter get(Part part, UnaryOperator<Tensor> look) {
    int place = place(part.name());
    if (place < 0) {
      return null;
    }
    ParameterBuffer.Slice slice = buffer.slices().get(place);
    return parts.computeIfAbsent(part, absent -> parameter(slice, look));
  }

  private Parameter parameter(ParameterBuffer.Slice slice, UnaryOperator<Tensor> look) {
    if (gathered != null) {
      return Parameter.gathered(
          look.apply(gathered.value(slice)), look.apply(gathered.gradient(slice)));
    }
    Objects.requireNonNull(parameters);
    DType type = slice.shape().length > 1 ? computeType : DType.FLOAT32;
    return Parameter.trained(scope, parameters, slice, type, look);
  }

  /**
   * Bytes of the copies in the type that products are computed in, or of the rooms where they are
   * gathered.
   */
  long copyBytes() {
    return gathered != null
        ? gathered.bytes()
        : parts.values().stream().mapToLong(Parameter::copyBytes).sum();
  }

  /** Takes over what was written to the parameter buffer, or to the shares. */
  void changed() {
    if (gathered != null) {
      gathered.changed();
    }
    if (parameters != null) {
      parameters.valuesChanged();
      for (Parameter parameter : parts.values()) {
        parameter.changed();
        parameters.valuesUsed();
      }
    }
  }

  /** All gradients become zero, those of other parts, too. */
  void clearGradients() {
    if (parameters != null) {
      parameters.clearGradients();
    }
  }

  /** Whether layers leave gradients where the listener doesn't take them from. */
  boolean areToBeBrought(GradientListener listener) {
    return parameters != null && parameters.areToBeBrought(listener);
  }

  /** Brings the gradients that layers have left to where the listener takes them from. */
  void gradientsDone(GradientListener listener) {
    if (parameters != null) {
      parameters.gradientsDone(listener);
    }
  }
}
