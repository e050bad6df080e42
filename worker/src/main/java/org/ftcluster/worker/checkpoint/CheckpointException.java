package org.ftcluster.worker.checkpoint;

/** State that can't be saved or read; the message is a sentence that says which, and why. */
public final class CheckpointException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public CheckpointException(String message) {
    super(message);
  }

  public CheckpointException(String message, Throwable cause) {
    super(message, cause);
  }
}
