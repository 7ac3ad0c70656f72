//! Tests of the whole: what keys lead to, what the screen shows.

mod flows;
mod gate;
mod screens;
mod secrets;
mod support;
