package org.ftcluster.protocol.job;

import java.math.BigInteger;
import java.util.regex.Pattern;

/** What a word without quotes stands for, where nothing says what it should be. */
public final class PlainValue {
  static final Pattern WHOLE = Pattern.compile("[-+]?[0-9][0-9_]*");
  static final Pattern DECIMAL =
      Pattern.compile("[-+]?([0-9][0-9_]*(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]+)?");

  /** Of a {@link Long}. */
  private static final int MOST_BITS = 63;

  private PlainValue() {}

  /**
   * A {@link Boolean}, a {@link Long} or a {@link Double} where it looks like one; otherwise the
   * text itself.
   */
  public static Object of(String text) {
    if (text.equalsIgnoreCase("true") || text.equalsIgnoreCase("false")) {
      return Boolean.valueOf(text);
    }
    String digits = text.replace("_", "");
    if (WHOLE.matcher(text).matches()) {
      BigInteger whole = new BigInteger(digits);
      return whole.bitLength() <= MOST_BITS ? (Object) whole.longValue() : text;
    }
    if (!DECIMAL.matcher(text).matches()) {
      return text;
    }
    double number = Double.parseDouble(digits);
    return Double.isFinite(number) ? (Object) number : text;
  }
}
