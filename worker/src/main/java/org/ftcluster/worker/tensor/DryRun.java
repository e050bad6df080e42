package org.ftcluster.worker.tensor;

import java.util.function.Supplier;

/**
 * Runs code with its arithmetic left out: tensors come and go as ever, but no kernel and no
 * operator runs, and no memory is touched. What is left is how much memory the code would take.
 */
public final class DryRun {
  /** More bytes than any machine has, and fewer than a process can address. */
  static final long ADDRESS_SPACE = 1L << 43;

  private static final ScopedValue<Boolean> ON = ScopedValue.newInstance();

  private DryRun() {}

  /** What is tried takes more than any machine has. */
  public static final class TooLargeException extends RuntimeException {
    TooLargeException(String message) {
      super(message);
    }
  }

  /** Runs {@code code} on the calling thread. What it reads from tensors is of no use. */
  public static <T> T of(Supplier<T> code) {
    return ScopedValue.where(ON, true).call(code::get);
  }

  /** Whether the calling thread is in one. */
  public static boolean isOn() {
    return ON.isBound();
  }
}
