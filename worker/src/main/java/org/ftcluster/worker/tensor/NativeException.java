package org.ftcluster.worker.tensor;

/** A native call that failed; the message is libtorch's own text where it gave one. */
public final class NativeException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public NativeException(String message) {
    super(message);
  }

  NativeException(String message, Throwable cause) {
    super(message, cause);
  }
}
