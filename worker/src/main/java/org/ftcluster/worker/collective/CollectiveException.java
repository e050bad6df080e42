package org.ftcluster.worker.collective;

import org.jspecify.annotations.Nullable;

/**
 * A collective that can't be completed: a rank was lost, the generation is over, or a peer took too
 * long.
 */
public final class CollectiveException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public CollectiveException(String message) {
    super(message);
  }

  public CollectiveException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
