/** The ftcluster command: a package a family of commands, and {@code Main} above them. */
@NullMarked
package org.ftcluster.cli;

import org.jspecify.annotations.NullMarked;
