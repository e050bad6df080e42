package org.ftcluster.protocol.cluster;

/** A node that can't start as it was asked to; the message is a sentence for whoever started it. */
public final class NodeStartException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public NodeStartException(String message) {
    super(message);
  }

  public NodeStartException(String message, Throwable cause) {
    super(message, cause);
  }
}
