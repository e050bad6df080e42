package org.ftcluster.protocol.security;

/** Credentials that can't be read, made or used; the message is a sentence for their owner. */
public final class BadCredentialsException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public BadCredentialsException(String message) {
    super(message);
  }

  public BadCredentialsException(String message, Throwable cause) {
    super(message, cause);
  }
}
