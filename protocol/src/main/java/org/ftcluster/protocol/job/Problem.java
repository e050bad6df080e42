package org.ftcluster.protocol.job;

/**
 * Something wrong in a job file.
 *
 * @param where file and line, or the {@code --set} flag
 * @param key the key's whole path ({@code training.learning_rate}); empty where it is about the
 *     file itself
 * @param message goes on after the key, without a full stop
 */
public record Problem(String where, String key, String message) {
  /** The whole sentence. */
  public String sentence() {
    return key.isEmpty()
        ? "%s: %s.".formatted(where, message)
        : "%s: %s %s.".formatted(where, key, message);
  }
}
