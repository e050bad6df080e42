package org.ftcluster.worker.optimizer;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.model.ParameterBuffer.Slice;

/**
 * The parameters that some ranks leave gradients of: those of a stage's layers.
 *
 * @param runs neighbouring ones, ascending
 */
public record Region(List<Shard> runs) {
  public Region {
    runs = List.copyOf(runs);
  }

  /** Of these tensors, in any order; each counts once. */
  public static Region of(List<Slice> tensors) {
    List<Shard> runs = new ArrayList<>();
    for (long[] next :
        tensors.stream()
            .map(slice -> new long[] {slice.offset(), slice.offset() + slice.size()})
            .sorted((a, b) -> Long.compare(a[0], b[0]))
            .toList()) {
      if (!runs.isEmpty() && runs.getLast().to() >= next[0]) {
        Shard last = runs.removeLast();
        runs.add(new Shard(last.from(), Math.max(last.to(), next[1])));
      } else {
        runs.add(new Shard(next[0], next[1]));
      }
    }
    return new Region(runs);
  }

  /** Parameters. */
  public long size() {
    return runs.stream().mapToLong(Shard::size).sum();
  }
}
