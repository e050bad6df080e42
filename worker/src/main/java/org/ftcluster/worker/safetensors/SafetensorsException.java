package org.ftcluster.worker.safetensors;

import org.ftcluster.protocol.job.BadJobException;

/** A weight file that can't be used; the message is one sentence with the file's name in it. */
public final class SafetensorsException extends BadJobException {
  private static final long serialVersionUID = 1L;

  public SafetensorsException(String message) {
    super(message);
  }

  public SafetensorsException(String message, Throwable cause) {
    super(message, cause);
  }
}
