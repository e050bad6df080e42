package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.function.IntFunction;
import org.ftcluster.worker.collective.Communicator;
import org.jspecify.annotations.Nullable;

/**
 * Sees to it that a part's weights are in memory when they are used, where not all of them are all
 * the time, and takes the gradients of those that are trained away.
 *
 * @param window of frozen layers; null where they are all here
 * @param gathered what is trained, where ranks share it out; else null
 */
record WeightSupply(@Nullable LayerWindow window, @Nullable GatheredParameters gathered) {
  /**
   * Connects the ranks that hold the other shares of frozen layers, for a generation.
   *
   * @param copies by share
   */
  void connect(Communicator copies, Duration timeout) {
    if (window != null) {
      window.connect(copies, timeout);
    }
  }

  /**
   * Connects those that hold the other shares of what is trained.
   *
   * @param ranks by share
   * @param stages the ranks that hold the same of the other stages, by stage
   * @param shares this rank's, float32, by unit
   */
  void connectTrained(
      Communicator ranks,
      Communicator stages,
      IntFunction<MemorySegment> shares,
      Duration timeout) {
    if (gathered != null) {
      gathered.connect(ranks, stages, shares, timeout);
    }
  }

  /** To be called before passes of a stage, for which it waits for others. */
  void beforePasses() {
    if (gathered != null) {
      gathered.refresh();
    }
  }

  void beforeEmbedding() {
    if (gathered != null) {
      gathered.beforeEmbedding();
    }
  }

  void afterEmbedding() {
    if (gathered != null) {
      gathered.afterEmbedding();
    }
  }

  /**
   * @param training whether the backward follows after the last layer
   */
  void beforeForward(int layer, boolean training) {
    if (window != null) {
      window.beforeForward(layer, training);
    }
    if (gathered != null) {
      gathered.beforeForward(layer);
    }
  }

  /**
   * @param backward whether it is asked for gradients, too
   */
  void beforeHead(boolean backward) {
    if (gathered != null) {
      gathered.beforeHead();
      if (backward) {
        gathered.startHeadGradients();
      }
    }
  }

  void afterHead(GradientListener listener) {
    if (gathered != null) {
      gathered.headGradientsDone(listener);
    }
  }

  void beforeBackward(int layer) {
    if (window != null) {
      window.beforeBackward(layer);
    }
    if (gathered != null) {
      gathered.beforeBackward(layer);
      gathered.startLayerGradients(layer);
    }
  }

  void afterBackward(int layer, GradientListener listener) {
    if (gathered != null) {
      gathered.layerGradientsDone(layer, listener);
    }
  }

  void beforeEmbeddingBackward() {
    if (gathered != null) {
      gathered.startEmbeddingGradients();
    }
  }

  void afterEmbeddingBackward(GradientListener listener) {
    if (gathered != null) {
      gathered.embeddingGradientsDone(listener);
    }
  }

  /**
   * What a batch's forward would ask for, without one: ranks that share weights out all go through
   * them the same number of times, in the same order.
   */
  void accompanyForward(boolean training) {
    if (window != null) {
      window.accompanyForward(training);
    }
    if (gathered != null) {
      gathered.accompanyForward(training);
    }
  }

  /** The same of its backward. */
  void accompanyBackward(GradientListener listener) {
    if (window != null) {
      window.accompanyBackward();
    }
    if (gathered != null) {
      gathered.accompanyBackward(listener);
    }
  }
}
