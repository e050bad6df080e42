package org.ftcluster.worker.checkpoint;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.jspecify.annotations.Nullable;

/**
 * All that a rank needs to go on after a step: parameters, the optimizer's memory, and progress. It
 * outlives generations, checkpoints hold a copy of it, and newcomers get it from a peer.
 *
 * <p>Written by the rank's thread alone; {@link #completedStep} may be asked by any.
 */
public final class TrainingState implements AutoCloseable {
  private final ParameterBuffer parameters;
  private final OptimizerState optimizer;
  private volatile @Nullable Progress progress;

  /**
   * Holds nothing yet, see {@link #completed}.
   *
   * @param parameters the model's, which closes them
   */
  public TrainingState(ParameterBuffer parameters) {
    this(parameters, new OptimizerState(parameters.size()));
  }

  /**
   * As above, of which only shards of the optimizer's memory may be here.
   *
   * @param optimizer closed with this
   */
  public TrainingState(ParameterBuffer parameters, OptimizerState optimizer) {
    this.parameters = parameters;
    this.optimizer = optimizer;
  }

  public ParameterBuffer parameters() {
    return parameters;
  }

  public OptimizerState optimizer() {
    return optimizer;
  }

  /**
   * The float32 buffers that make up a state that is here as a whole, each {@code
   * parameters().size()} elements long.
   */
  public List<MemorySegment> buffers() {
    return List.of(parameters.values(), optimizer.firstMoment(), optimizer.secondMoment());
  }

  /** The last optimizer step whose result is held, -1 when none is. */
  public long completedStep() {
    Progress current = progress;
    return current == null ? -1 : current.step();
  }

  /**
   * How far the state held has come.
   *
   * @throws IllegalStateException when none is held
   */
  public Progress progress() {
    Progress current = progress;
    if (current == null) {
      throw new IllegalStateException("no state is held");
    }
    return current;
  }

  /** The buffers hold what that progress leads to. */
  public void completed(Progress progress) {
    this.progress = progress;
  }

  /** To be called before the buffers are overwritten from elsewhere. */
  public void invalidate() {
    progress = null;
  }

  @Override
  public void close() {
    invalidate();
    optimizer.close();
  }
}
