package org.ftcluster.protocol.job;

/**
 * The job itself is wrong: a missing file, a bad line, an adapter that doesn't fit. Trying again
 * can't help; the message is a sentence for the job's author, and says where and what would be
 * right.
 */
public class BadJobException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public BadJobException(String message) {
    super(message);
  }

  public BadJobException(String message, Throwable cause) {
    super(message, cause);
  }
}
