package org.ftcluster.worker.data;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.model.TokenBatch;

/** A data set in its own order, cut into batches for evaluation. Immutable. */
public final class EvalBatches {
  private final Dataset data;
  private final List<Integer> ends = new ArrayList<>();
  private final long targetTokens;

  /** Cuts so that no batch has more than {@code tokenBudget} tokens, unless a single sample has. */
  public EvalBatches(Dataset data, int tokenBudget) {
    this.data = data;
    long tokens = 0;
    long targets = 0;
    for (int id = 0; id < data.size(); id++) {
      if (tokens > 0 && tokens + data.length(id) > tokenBudget) {
        ends.add(id);
        tokens = 0;
      }
      tokens += data.length(id);
      targets += data.targetCount(id);
    }
    ends.add(data.size());
    this.targetTokens = targets;
  }

  public int size() {
    return ends.size();
  }

  /** Of all batches. */
  public int samples() {
    return data.size();
  }

  /** What the sum of all losses is divided by, but for pairs. */
  public long targetTokens() {
    return targetTokens;
  }

  /** A batch; ranks that share the work take every {@code worldSize}-th. */
  public TokenBatch batch(int index) {
    int from = index == 0 ? 0 : ends.get(index - 1);
    return data.batch(IntStream.range(from, ends.get(index)).toArray());
  }
}
