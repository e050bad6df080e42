package org.ftcluster.worker.checkpoint.storage;

import java.io.IOException;

/** Storage that doesn't do what was asked; the message is a clause that says why. */
public final class StorageException extends IOException {
  private static final long serialVersionUID = 1L;

  private final Kind kind;

  /** What a next try is worth. */
  public enum Kind {
    /** There is no such file. */
    MISSING,
    /** It will be refused again: no such bucket, no access. */
    REFUSED,
    /** It may work: the network, or the service, failed. */
    UNAVAILABLE
  }

  StorageException(String message, Kind kind, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  public Kind kind() {
    return kind;
  }
}
