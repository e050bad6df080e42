package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Neighbouring tensors of a {@link ParameterBuffer} that are gathered and dropped together where
 * ranks share values out: what is before the layers, each layer, what is behind them. Units leave
 * nothing of the buffer out.
 *
 * @param from the first parameter's place
 * @param to behind the last one's
 */
public record ParameterUnit(long from, long to, List<ParameterBuffer.Slice> slices) {
  /** Units of a model that is trained as a whole begin at multiples of this, as shares do. */
  public static final int BLOCK = 4096;

  public ParameterUnit {
    slices = List.copyOf(slices);
  }

  /** All of a buffer, in their order. */
  public static List<ParameterUnit> of(ParameterBuffer parameters) {
    List<ParameterUnit> units = new ArrayList<>();
    List<ParameterBuffer.Slice> slices = new ArrayList<>();
    OptionalInt layer = OptionalInt.empty();
    for (ParameterBuffer.Slice slice : parameters.slices()) {
      OptionalInt next = BaseLayout.layerOf(slice.name());
      if (!next.equals(layer)) {
        units.add(new ParameterUnit(start(slices, slice.offset()), slice.offset(), slices));
        slices.clear();
        layer = next;
      }
      slices.add(slice);
    }
    units.add(new ParameterUnit(start(slices, parameters.size()), parameters.size(), slices));
    return units;
  }

  private static long start(List<ParameterBuffer.Slice> slices, long otherwise) {
    return slices.isEmpty() ? otherwise : slices.getFirst().offset();
  }

  /** Parameters. */
  long size() {
    return to - from;
  }

  /** Parameters of a share of which the ranks have one each; the last ones may have fewer. */
  long share(int ranks) {
    return share(size(), ranks);
  }

  /** The same of any number of parameters. */
  public static long share(long parameters, int ranks) {
    return Math.ceilDiv(Math.ceilDiv(parameters, (long) BLOCK), (long) ranks) * BLOCK;
  }
}
